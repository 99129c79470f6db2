import java.util.Objects;
import java.util.Optional;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.retry.RetryUtils;

/** What AWS's refusals mean, and what helps against them. */
final class AwsRefusal {

    /** How AWS names the action that is not allowed, and on what. */
    private static final Pattern DENIED = Pattern.compile("perform: ([\\w-]+:\\w+)(?: on resource: (arn:[^\\s,]+))?");
    private static final String SET_CLOCK = "set this machine's clock";

    private AwsRefusal() {
    }

    /** Tells whether a later try may be answered otherwise; the SDK corrects a clock meanwhile. */
    static boolean isForNow(AwsServiceException answer) {
        return answer.statusCode() >= 500 || RetryUtils.isThrottlingException(answer) || RetryUtils.isClockSkewException(answer);
    }

    /** Returns what AWS answered and what helps, which for an action that was not allowed is to allow it on these ARNs. */
    static String sentence(AwsServiceException answer, String action, String arns) {
        String code = Objects.requireNonNullElse(answer.awsErrorDetails().errorCode(), "");
        String message = Objects.requireNonNullElse(answer.awsErrorDetails().errorMessage(), "");
        String advice = switch (code) {
            // From a file, for a command line stays in the shell's history.
            case "ParameterNotFound", "ParameterVersionNotFound" -> "check --api-key-param and --region, or store the key there with"
                    + " 'aws ssm put-parameter --type SecureString --name NAME --value file://FILE', from a file that holds it alone";
            case "InvalidKeyId" -> "enable the KMS key that the parameter is stored under, or store it again under another";
            case "NotFoundException" -> "check --app-id and --region";
            case "AccessDeniedException", "UnauthorizedException" -> denied(message, action, arns);
            case "RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture" -> SET_CLOCK;
            case "InvalidSignatureException", "SignatureDoesNotMatch", "AuthFailure", "ExpiredTokenException", "ExpiredToken",
                    "UnrecognizedClientException", "InvalidClientTokenId", "IncompleteSignature", "IncompleteSignatureException",
                    "MissingAuthenticationToken", "MissingAuthenticationTokenException", "InvalidAccessKeyId", "OptInRequired" ->
                    message.matches("(?is).*(signature expired|not yet current).*") ? SET_CLOCK
                            : "sign in to AWS again: the credentials have expired or are not valid";
            default -> isForNow(answer) ? "run again later" : "";
        };
        return (code.isEmpty() ? "AWS answered " + answer.statusCode() : code)
                // Where only AWS can say what helps.
                + (advice.isEmpty() && !message.isBlank() ? ", " + Secret.clean(message) : "")
                + (answer.requestId() == null ? "" : " (request " + answer.requestId() + ")") + "; "
                + (advice.isEmpty() ? "change what AWS names, or check any proxy, and run again" : advice);
    }

    /** Returns what to allow: the action that AWS names, which may be another than the one that was asked for. */
    private static String denied(String message, String action, String arns) {
        Optional<MatchResult> named = DENIED.matcher(message).results().findFirst();
        String needed = named.map(found -> found.group(1)).orElse(message.contains("ciphertext") ? "kms:Decrypt" : action);
        String resource = needed.equals(action) ? arns : named.map(found -> found.group(2)).orElse("the parameter's KMS key");
        return (message.contains("explicit deny") ? "lift the explicit deny of " : "allow ") + needed + " on " + resource
                + " in the Amplify app's service role";
    }
}
