//SOURCES InSandbox.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Errors of AWS and what to do about them, and sources of credentials. */
class AwsTest extends InSandbox {

    /** What AWS names is printed where the advice refers to it, and nowhere else: some messages repeat the session token. */
    @ParameterizedTest(name = "{0} {1} {2}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            400 | ExpiredTokenException | The security token included in the request is expired | SIGN-IN
            400 | UnrecognizedClientException | The security token included in the request is invalid. | SIGN-IN
            403 | InvalidClientTokenId | The security token included in the request is invalid | SIGN-IN
            403 | MissingAuthenticationTokenException | Missing | SIGN-IN
            400 | InvalidSignatureException | The signature we calculated does not match: 'x-amz-security-token:IQoJ' | SIGN-IN
            400 | InvalidSignatureException | Signature expired: 20240101T000000Z is now earlier | set this machine's clock
            400 | InvalidSignatureException | Signature not yet current: 20290101T000000Z is still later | set this machine's clock
            403 | RequestTimeTooSkewed | The difference is too large | set this machine's clock
            400 | AccessDeniedException | u is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:k-1 | KMS
            400 | AccessDeniedException | The ciphertext refers to a customer master key that you are not allowed to access. | KMS
            400 | AccessDeniedException | u is not authorized to perform: ssm:GetParameter on resource: p with an explicit deny \
                | allow ssm:GetParameter on arn:aws:ssm:eu-central-1:ACCOUNT:parameter/neon/api-key in the Amplify app's service role
            400 | InvalidKeyId | arn:aws:kms:k-1 is disabled. \
                | enable the KMS key that AWS names, or encrypt the parameter with another one
            400 | OddException | Odd postgresql://u:p@h/d | fix what AWS names, or check any proxy, and run again
            404 | `` | `` | fix what AWS names, or check any proxy, and run again
            """)
    void says_what_to_do_about_an_error(int status, String code, String message, String expected) {
        sandbox.fail("POST", "/ssm", -1, Fault.status(status, "{\"__type\":\"" + code + "\",\"message\":\"" + message + "\"}",
                Map.of("x-amzn-RequestId", "r-1")));
        String advice = expected.replace("SIGN-IN", "sign in to AWS again: the credentials are expired or invalid")
                .replaceFirst("^KMS$", "allow kms:Decrypt on the KMS key that AWS names in the Amplify app's service role");
        String printed = advice.contains("AWS names") && !message.isEmpty()
                ? ", " + message.replaceFirst("\\.$", "").replaceFirst("postgres.*", "***") : "";
        assertEquals("neon-ci: Could not read SSM parameter /neon/api-key in region eu-central-1: "
                + (code.isEmpty() ? "AWS answered 404" : code) + printed + " (request r-1); " + advice + ".\n", create().err());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            neon/api-key   | eu-west-1      | arn:aws:ssm:eu-west-1:ACCOUNT:parameter/neon/api-key
            /neon/key:3    | eu-west-1      | arn:aws:ssm:eu-west-1:ACCOUNT:parameter/neon/key
            /neon/key:live | cn-north-1     | arn:aws-cn:ssm:cn-north-1:ACCOUNT:parameter/neon/key
            key            | us-gov-west-1  | arn:aws-us-gov:ssm:us-gov-west-1:ACCOUNT:parameter/key
            arn:aws:ssm:eu-west-1:123456789012:parameter/neon/key   | eu-west-1 | arn:aws:ssm:eu-west-1:123456789012:parameter/neon/key
            arn:aws:ssm:eu-west-1:123456789012:parameter/neon/key:3 | eu-west-1 | arn:aws:ssm:eu-west-1:123456789012:parameter/neon/key
            """)
    void names_a_denied_parameter_as_a_policy_does(String parameter, String region, String arn) {
        sandbox.fail("POST", "/ssm", -1, Fault.status(400, "{\"__type\":\"AccessDeniedException\"}", Map.of()));
        String err = create("--api-key-param", parameter, "--region", region).err();
        assertTrue(err.endsWith("; allow ssm:GetParameter on " + arn + " in the Amplify app's service role.\n"), err);
    }

    @Test
    void says_what_to_do_about_an_error_of_amplify() {
        sandbox.fail("GET", "/amplify/", -1, Fault.status(403, "{\"message\":\"The security token included in the request is expired\"}",
                Map.of("x-amzn-ErrorType", "ExpiredTokenException")));
        String err = cleanUp().err();
        assertTrue(err.endsWith(": ExpiredTokenException; sign in to AWS again: the credentials are expired or invalid.\n"), err);
    }

    @ParameterizedTest
    @ValueSource(strings = {"{\"branches\":[{\"stage\":\"BETA\"}]}", "{\"branches\":[null]}", "{\"branches\":[],\"nextToken\":\"next\"}"})
    void an_incomplete_list_ends_a_clean_up(String page) {
        sandbox.fail("GET", "/amplify/", -1, Fault.status(200, page, Map.of()));
        assertEquals("neon-ci: Could not list the branches of Amplify app d1a2b3c4d5e6f7 in region eu-central-1: AWS's"
                + " response has no list, a branch without a name, or a repeated page; run again later.\n", cleanUp().err());
    }

    @ParameterizedTest
    @ValueSource(strings = {"sso_session = work\nsso_account_id = 1\nsso_role_name = r\n[sso-session work]\nsso_region = eu-west-1\n"
            + "sso_start_url = https://sso.example", "role_arn = arn:aws:iam::123456789012:role/r\nsource_profile = other",
            "login_session = arn:aws:iam::123456789012:user/u", "output = text",
            "credential_process = aws configure export-credentials '--format' process # comment"})
    void profiles_that_need_a_command_work(String profile) throws IOException {
        Map<String, String> laptop = laptop("[profile work]\nregion = eu-central-1\n" + profile + "\n");
        laptop.put("AWS_PROFILE", "work");
        laptop.remove("AWS_REGION");
        aws(laptop, "[ \"$*\" = 'configure export-credentials --format process' ] && [ \"$AWS_PROFILE\" = work ] && echo '{\"Version\": 1,"
                + " \"AccessKeyId\": \"" + sandbox.environment().get("AWS_ACCESS_KEY_ID") + "\", \"SecretAccessKey\": \""
                + sandbox.environment().get("AWS_SECRET_ACCESS_KEY") + "\"}'");
        assertEquals("", run(laptop, "cleanup-branches").err());
    }

    @Test
    void says_what_to_do_without_credentials() throws IOException {
        Map<String, String> laptop = laptop("");
        assertEquals("neon-ci: Could not read SSM parameter /neon/api-key in region eu-central-1: there are no AWS credentials; in Amplify"
                + " give the app a service role, elsewhere sign in so that 'aws sts get-caller-identity' works.\n",
                run(laptop, "create-branch").err());
    }

    @ParameterizedTest
    @ValueSource(strings = {" [default]\n region = eu-central-1", "[default]\nregion = eu-central-1\n[profile work",
            "\ufeff[default]\nregion = eu-central-1", "[default]\nregion"})
    void an_unreadable_profile_stops_only_a_run_that_needs_it(String config) throws IOException {
        Map<String, String> laptop = laptop(config);
        String err = run(laptop, "create-branch").err();
        assertTrue(err.contains("there are no AWS credentials") && err.lines().count() == 1, err);

        laptop.putAll(sandbox.environment());
        assertEquals("", run(laptop, "cleanup-branches").err());
        laptop.remove("AWS_REGION");
        assertTrue(run(laptop, "create-branch").err().startsWith("neon-ci: No AWS region is set: set --region or AWS_REGION; fix the files"
                + " in ~/.aws: "));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            ``                           | 'aws configure export-credentials'
            credential_process = aws x   | 'credential_process'
            """)
    void a_command_for_credentials_that_hangs_is_named_and_ended(String profile, String name) throws IOException {
        Map<String, String> laptop = laptop("[default]\n" + profile + "\n");
        aws(laptop, (profile.isEmpty() ? "" : "[ $1 = x ] || exit 1; ") + "echo $$ > \"$HOME/pid\"; exec sleep 600");
        Shell.Result result = run(laptop, "create-branch", "--wait", "6s");
        assertEquals("neon-ci: Could not read SSM parameter /neon/api-key in region eu-central-1: there are no AWS credentials, since "
                + name + " did not finish; in Amplify give the app a service role, elsewhere sign in so that 'aws sts get-caller-identity'"
                + " works.\n", result.err());
        assertEquals(1, result.exitCode());
        long command = Long.parseLong(Files.readString(folder.resolve("home/pid")).strip());
        ProcessHandle.of(command).ifPresent(process -> process.onExit().orTimeout(1, TimeUnit.MINUTES).join());
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "credential_process = aws x; true"})
    void a_command_for_credentials_that_asks_for_an_mfa_code_gets_no_input(String profile) throws IOException {
        Map<String, String> laptop = laptop("[default]\n" + profile + "\n");
        aws(laptop, "read code && exec sleep 600; exit 255");
        String err = run(laptop, "create-branch").err();
        assertTrue(err.contains(": there are no AWS credentials; "), err);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            AWS_SESSION_TOKEN                      | se\\ncret
            AWS_ACCESS_KEY_ID                      | se\\ncret
            AWS_USE_FIPS_ENDPOINT                  | maybe
            AWS_USE_FIPS_ENDPOINT                  | true
            AWS_USE_DUALSTACK_ENDPOINT             | maybe
            AWS_DEFAULTS_MODE                      | bogus
            AWS_DISABLE_REQUEST_COMPRESSION        | x
            AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES | x
            """)
    void an_odd_setting_ends_in_one_sentence_where_aws_is_needed(String variable, String value) {
        Map<String, String> environment = sandbox.environment(Map.of(variable, value.translateEscapes()));
        String err = process(environment, "create-branch").err();
        assertTrue(err.matches("neon-ci: Could not read SSM parameter /neon/api-key in region eu-central-1: the AWS SDK failed"
                + " \\([A-Za-z]+\\); check any proxy, the variables AWS_\\* and the files in ~/\\.aws\\.\n"), err);
        environment.putAll(Cli.withKey(sandbox));
        assertEquals("", process(environment, "create-branch").err());
    }

    @Test
    void a_clock_that_is_wrong_is_corrected() {
        sandbox.clockSkew(Duration.ofHours(3));
        assertEquals(0, create("--dry-run").exitCode());
    }

    /** Returns the environment of a user who has a region, and credentials only in ~/.aws. */
    private Map<String, String> laptop(String config) throws IOException {
        Path home = Files.createDirectories(folder.resolve("home"));
        Files.writeString(Files.createDirectories(home.resolve(".aws")).resolve("config"), config);
        Map<String, String> environment = sandbox.environment(Map.of("HOME", home.toString(), "JAVA_TOOL_OPTIONS", "-Duser.home=" + home,
                "PATH", Files.createDirectories(folder.resolve("bin")) + ":/usr/bin:/bin"));
        environment.keySet().removeAll(List.of("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"));
        return environment;
    }

    /** Puts an aws command on the PATH. */
    private static void aws(Map<String, String> environment, String script) throws IOException {
        Path command = Path.of(environment.get("PATH").replaceFirst(":.*", ""), "aws");
        Files.writeString(command, "#!/bin/sh\n" + script + "\n");
        Files.setPosixFilePermissions(command, PosixFilePermissions.fromString("rwxr-xr-x"));
    }

    private Shell.Result run(Map<String, String> environment, String... args) {
        Shell.Result result = process(environment, args);
        return new Shell.Result(result.exitCode(), result.out(), result.err().replaceFirst("^Picked up JAVA_TOOL_OPTIONS.*\n", ""));
    }
}
