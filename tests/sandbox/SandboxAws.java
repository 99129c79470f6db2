import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.time.Clock;
import java.time.Duration;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.UUID;
import java.util.function.Consumer;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;

/**
 * The stand-in for two AWS services: Systems Manager's GetParameter, and Amplify's ListBranches, CreateBranch and DeleteBranch. Field
 * names, shapes and error codes are those of the services' models:
 * https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html and
 * https://docs.aws.amazon.com/amplify/latest/APIReference/API_ListBranches.html.
 */
final class SandboxAws {

    /** Where the app and the parameters are. One port answers for all regions, but the others are empty. */
    static final String REGION = "eu-central-1";
    static final String APP_ID = "d1a2b3c4d5e6f7";
    static final String ACCESS_KEY_ID = "AKIASANDBOXSANDBOX00";

    private static final Duration SIGNATURE_LASTS = Duration.ofMinutes(5);
    private static final String ACCOUNT = "123456789012";

    /** The most branches that ListBranches gives in a page, and how many it gives when not told. */
    private static final int PAGE = 50;

    private record Parameter(String type, String value) {
    }

    /** An Amplify branch; Amplify lists the last two with it, and they must never be seen in a log. */
    private record Branch(String name, String stage, String sourceBranch, String environmentSecret, String basicAuthCredentials) {
    }

    /** An answer other than the expected one, on its way out of whatever refuses the request. */
    private static final class Refusal extends RuntimeException {
        final int status;
        final String code;

        Refusal(int status, String code, String message) {
            super(message);
            this.status = status;
            this.code = code;
        }
    }

    private final Random random = new Random();
    private final String secretAccessKey;
    private final Consumer<String> secrets;
    private final Map<String, Parameter> parameters = new LinkedHashMap<>();
    private final Map<String, Map<String, Branch>> apps = new LinkedHashMap<>();
    private int maximumPageSize = PAGE;
    private String denied = "";
    private Clock clock = Clock.systemUTC();

    /**
     * Starts with one app that has no branch yet, and no parameter.
     *
     * @param secretAccessKey signs the requests that are let in
     * @param secrets is handed every secret that is made up here
     */
    SandboxAws(String secretAccessKey, Consumer<String> secrets) {
        this.secretAccessKey = secretAccessKey;
        this.secrets = secrets;
        apps.put(APP_ID, new LinkedHashMap<>());
    }

    /** Stores a parameter that SSM decrypts only for those who ask for it. */
    synchronized void secureString(String name, String value) {
        parameters.put(name, new Parameter("SecureString", value));
    }

    /** Stores a parameter in plain text. */
    synchronized void string(String name, String value) {
        parameters.put(name, new Parameter("String", value));
    }

    /** Adds branches of the sandbox's app, as one does by connecting them. */
    synchronized void branches(String... names) {
        for (String name : names) {
            add(name, "main".equals(name) ? "PRODUCTION" : "DEVELOPMENT", null);
        }
    }

    /** Adds the preview of a pull request: a branch named {@code pr-N} that knows its source branch. */
    synchronized void pullRequest(int number, String sourceBranch) {
        add("pr-" + number, "PULL_REQUEST", sourceBranch);
    }

    /** Removes a branch of the sandbox's app, as one does by deleting it in the console. */
    synchronized void removeBranch(String name) {
        apps.get(APP_ID).remove(name);
    }

    /** Removes all branches of the sandbox's app. */
    synchronized void removeBranches() {
        apps.get(APP_ID).clear();
    }

    /** Gives at most this many branches in a page from now on, whatever is asked for. */
    synchronized void maximumPageSize(int size) {
        maximumPageSize = size;
    }

    /** Answers this action, such as {@code amplify:ListBranches}, as for a role whose policy does not allow it. */
    synchronized void deny(String action) {
        denied = action;
    }

    /** Removes the sandbox's app. */
    /** Lets AWS's clock be ahead of this machine's by this much, or behind it. */
    synchronized void clockSkew(Duration skew) {
        clock = Clock.offset(Clock.systemUTC(), skew);
    }

    /** Answers a request to SSM: JSON 1.1, the action in a header. */
    synchronized SandboxHttp.Answer ssm(SandboxHttp.Request request) {
        try {
            String region = region(request, "ssm", 400);
            if (!"AmazonSSM.GetParameter".equals(request.headers().get("x-amz-target"))) {
                throw new Refusal(400, "UnknownOperationException", "");
            }
            return amazon(200, getParameter(SandboxJson.read(request.body()), region));
        } catch (Refusal refusal) {
            return refused(refusal);
        }
    }

    private ObjectNode getParameter(JsonNode input, String region) {
        String name = input.path("Name").asText();
        String arn = "arn:aws:ssm:" + REGION + ":" + ACCOUNT + ":parameter" + (name.startsWith("/") ? "" : "/") + name;
        authorize(400, "ssm:GetParameter", arn);
        Parameter parameter = parameters.get(name);
        if (parameter == null || !REGION.equals(region)) {
            throw new Refusal(400, "ParameterNotFound", "");
        }
        boolean readable = !"SecureString".equals(parameter.type()) || input.path("WithDecryption").asBoolean();
        return SandboxJson.object("""
                {"Parameter": {"ARN": %s, "DataType": "text", "LastModifiedDate": 1733184000.123, "Name": %s, "Type": %s, "Value": %s,
                    "Version": 1}}""", arn, name, parameter.type(), readable ? parameter.value() : ciphertext());
    }

    /** Answers a request to Amplify: REST, {@code path} without what leads to the service. */
    synchronized SandboxHttp.Answer amplify(SandboxHttp.Request request, String path) {
        try {
            String[] parts = path.split("/");
            String action = parts.length < 4 || !"apps".equals(parts[1]) || !"branches".equals(parts[3]) ? ""
                    : switch (request.method() + " " + parts.length) {
                        case "GET 4" -> "amplify:ListBranches";
                        case "POST 4" -> "amplify:CreateBranch";
                        case "DELETE 5" -> "amplify:DeleteBranch";
                        default -> "";
                    };
            String region = isPlain(request, action) ? REGION : region(request, "amplify", 403);
            if (action.isEmpty()) {
                throw new Refusal(404, "NotFoundException", "Unknown operation " + request.method() + " " + path);
            }
            String arn = "arn:aws:amplify:" + REGION + ":" + ACCOUNT + ":apps/" + parts[2];
            authorize(403, action, arn + "/branches/*");
            Map<String, Branch> app = apps.get(parts[2]);
            if (app == null || !REGION.equals(region)) {
                throw new Refusal(404, "NotFoundException", "App with id: " + parts[2] + " not found");
            }
            return amazon(200, switch (action) {
                case "amplify:ListBranches" -> listBranches(arn, new ArrayList<>(app.values()), request.query());
                case "amplify:CreateBranch" -> createBranch(arn, SandboxJson.read(request.body()));
                default -> deleteBranch(arn, URLDecoder.decode(parts[4].replace("+", "%2B"), StandardCharsets.UTF_8));
            });
        } catch (Refusal refusal) {
            return refused(refusal);
        }
    }

    /** Unlike AWS, the sandbox lets people change its app without a signature, so that curl will do for those without the aws command. */
    private static boolean isPlain(SandboxHttp.Request request, String action) {
        return !request.headers().containsKey("authorization") && List.of("amplify:CreateBranch", "amplify:DeleteBranch").contains(action);
    }

    private ObjectNode listBranches(String appArn, List<Branch> all, Map<String, String> query) {
        int asked = Integer.parseInt(query.getOrDefault("maxResults", "" + PAGE));
        if (asked < 0 || asked > PAGE) {
            throw new Refusal(400, "BadRequestException", "1 validation error detected: Value '" + asked
                    + "' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to " + PAGE);
        }
        int size = Math.min(asked == 0 ? PAGE : asked, maximumPageSize);
        int from = pageStart(query.get("nextToken"));
        int to = Math.min(from + size, all.size());
        List<ObjectNode> page = all.subList(Math.min(from, to), to).stream().map(branch -> branch(appArn, branch)).toList();
        return SandboxJson.object("""
                {"branches": %s, "nextToken": %s}""", page, to < all.size() ? pageToken(to) : null);
    }

    /** Besides what AWS takes, takes a pull request's {@code sourceBranch}, which AWS has from the Git host. */
    private ObjectNode createBranch(String appArn, JsonNode input) {
        String name = input.path("branchName").asText();
        if (name.isEmpty() || apps.get(APP_ID).containsKey(name)) {
            throw new Refusal(400, "BadRequestException", name.isEmpty() ? "branchName is required" : "The branch already exists: " + name);
        }
        add(name, input.path("stage").asText("DEVELOPMENT"), input.path("sourceBranch").asText(null));
        return SandboxJson.object("{\"branch\": %s}", branch(appArn, apps.get(APP_ID).get(name)));
    }

    private ObjectNode deleteBranch(String appArn, String name) {
        Branch branch = apps.get(APP_ID).remove(name);
        if (branch == null) {
            throw new Refusal(404, "NotFoundException", "Branch with name: " + name + " not found");
        }
        return SandboxJson.object("{\"branch\": %s}", branch(appArn, branch));
    }

    private void add(String name, String stage, String sourceBranch) {
        String credentials = base64("preview:" + secret("pw"));
        secrets.accept(credentials);
        apps.get(APP_ID).put(name, new Branch(name, stage, sourceBranch, secret("sk_sandbox_"), credentials));
    }

    private ObjectNode branch(String appArn, Branch branch) {
        return SandboxJson.object("""
                {"branchArn": %s, "branchName": %s, "description": "", "stage": %s, "displayName": %s, "enableNotification": false,
                 "createTime": 1733184000.123, "updateTime": 1733187600.456, "environmentVariables": {"STRIPE_SECRET_KEY": %s},
                 "enableAutoBuild": true, "enableSkewProtection": false, "customDomains": [], "framework": "Next.js - SSR",
                 "activeJobId": "0000000007", "totalNumberOfJobs": "7", "enableBasicAuth": true, "enablePerformanceMode": false,
                 "basicAuthCredentials": %s, "ttl": "5", "enablePullRequestPreview": %s, "tags": {}, "sourceBranch": %s,
                 "destinationBranch": %s}""",
                appArn + "/branches/" + branch.name(), branch.name(), branch.stage(), branch.name().replaceAll("[^A-Za-z0-9-]", "-"),
                branch.environmentSecret(), branch.basicAuthCredentials(), branch.sourceBranch() == null, branch.sourceBranch(),
                branch.sourceBranch() == null ? null : "main");
    }

    /** Returns the region that a request was signed for. Throws a refusal if it was signed wrongly, or too long ago or ahead. */
    private String region(SandboxHttp.Request request, String service, int status) {
        SandboxSignature signature = SandboxSignature.of(request, AwsBasicCredentials.create(ACCESS_KEY_ID, secretAccessKey), service)
                .orElseThrow(() -> new Refusal(status, "InvalidSignatureException", "The request signature we calculated does not match the"
                        + " signature you provided. Check your AWS Secret Access Key and signing method."));
        Instant now = clock.instant();
        String signed = SandboxSignature.TIME.format(signature.time());
        if (signature.time().isBefore(now.minus(SIGNATURE_LASTS))) {
            throw new Refusal(status, "InvalidSignatureException", "Signature expired: %s is now earlier than %s (%s - 5 min.)".formatted(
                    signed, SandboxSignature.TIME.format(now.minus(SIGNATURE_LASTS)), SandboxSignature.TIME.format(now)));
        }
        if (signature.time().isAfter(now.plus(SIGNATURE_LASTS))) {
            throw new Refusal(status, "InvalidSignatureException", "Signature not yet current: %s is still later than %s (%s + 5 min.)"
                    .formatted(signed, SandboxSignature.TIME.format(now.plus(SIGNATURE_LASTS)), SandboxSignature.TIME.format(now)));
        }
        return signature.region();
    }

    private void authorize(int status, String action, String resource) {
        if (action.equals(denied)) {
            throw new Refusal(status, "AccessDeniedException", "User: arn:aws:sts::" + ACCOUNT + ":assumed-role/AmplifyServiceRole/"
                    + "BuildSession is not authorized to perform: " + action + " on resource: " + resource
                    + " because no identity-based policy allows the " + action + " action");
        }
    }

    private SandboxHttp.Answer refused(Refusal refusal) {
        SandboxHttp.Answer answer = amazon(refusal.status, SandboxJson.object("""
                {"__type": %s, "message": %s}""", refusal.code, refusal.getMessage()));
        Map<String, String> headers = new LinkedHashMap<>(answer.headers());
        headers.put("x-amzn-ErrorType", refusal.code);
        return new SandboxHttp.Answer(refusal.status, answer.body(), headers);
    }

    private SandboxHttp.Answer amazon(int status, ObjectNode body) {
        return new SandboxHttp.Answer(status, body.toString(), Map.of(
                "Content-Type", "application/x-amz-json-1.1",
                "Date", DateTimeFormatter.RFC_1123_DATE_TIME.format(clock.instant().atOffset(ZoneOffset.UTC)),
                "x-amzn-RequestId", UUID.randomUUID().toString()));
    }

    private String ciphertext() {
        byte[] bytes = new byte[96];
        random.nextBytes(bytes);
        return "AQICAHh" + Base64.getEncoder().withoutPadding().encodeToString(bytes);
    }

    private String secret(String prefix) {
        String secret = prefix + Long.toHexString(random.nextLong()) + Long.toHexString(random.nextLong());
        secrets.accept(secret);
        return secret;
    }

    /** Makes a token as Amplify's are, with characters that mean something else in an address when they are not encoded. */
    private static String pageToken(int start) {
        return "+/=" + base64("page " + start);
    }

    private static int pageStart(String token) {
        if (token == null) {
            return 0;
        }
        String text = new String(Base64.getDecoder().decode(token.substring("+/=".length())), StandardCharsets.UTF_8);
        return Integer.parseInt(text.substring("page ".length()));
    }

    private static String base64(String text) {
        return Base64.getEncoder().encodeToString(text.getBytes(StandardCharsets.UTF_8));
    }
}
