//SOURCES InSandbox.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What AWS refuses and what then helps, and where the credentials may come from. */
class AwsTest extends InSandbox {

    @ParameterizedTest(name = "{0} {1} {2}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            400 | ExpiredTokenException | The security token included in the request is expired | ExpiredTokenException (request r-1); SIGN-IN
            400 | UnrecognizedClientException | The security token included in the request is invalid. | UnrecognizedClientException (request r-1); SIGN-IN
            403 | InvalidClientTokenId | The security token included in the request is invalid | InvalidClientTokenId (request r-1); SIGN-IN
            403 | MissingAuthenticationTokenException | Missing | MissingAuthenticationTokenException (request r-1); SIGN-IN
            400 | InvalidSignatureException | The request signature we calculated does not match: 'x-amz-security-token:IQoJ' | InvalidSignatureException (request r-1); SIGN-IN
            400 | InvalidSignatureException | Signature expired: 20240101T000000Z is now earlier than 20260101T000000Z | InvalidSignatureException (request r-1); set this machine's clock
            400 | InvalidSignatureException | Signature not yet current: 20290101T000000Z is still later than 20260101T000000Z | InvalidSignatureException (request r-1); set this machine's clock
            403 | RequestTimeTooSkewed | The difference is too large | RequestTimeTooSkewed (request r-1); set this machine's clock
            400 | AccessDeniedException | User: arn:aws:sts::123456789012:assumed-role/r/s is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:eu-central-1:123456789012:key/k-1 because no identity-based policy allows the kms:Decrypt action | AccessDeniedException, User: arn:aws:sts::123456789012:assumed-role/r/s is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:eu-central-1:123456789012:key/k-1 because no identity-based policy allows the kms:Decrypt action (request r-1); allow kms:Decrypt on the KMS key that AWS names in the Amplify app's service role
            400 | AccessDeniedException | User: arn:aws:sts::123456789012:assumed-role/r/s is not authorized to perform: kms:Decrypt on the resource associated with this ciphertext because no resource-based policy allows it | AccessDeniedException, User: arn:aws:sts::123456789012:assumed-role/r/s is not authorized to perform: kms:Decrypt on the resource associated with this ciphertext because no resource-based policy allows it (request r-1); allow kms:Decrypt on the KMS key that AWS names in the Amplify app's service role
            400 | AccessDeniedException | The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access. | AccessDeniedException, The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access (request r-1); allow kms:Decrypt on the KMS key that AWS names in the Amplify app's service role
            400 | AccessDeniedException | User: arn:aws:iam::123456789012:user/u is not authorized to perform: ssm:GetParameter on resource: arn:aws:ssm:eu-central-1:123456789012:parameter/neon/api-key with an explicit deny in a service control policy | AccessDeniedException (request r-1); allow ssm:GetParameter on arn:aws:ssm:eu-central-1:ACCOUNT:parameter/neon/api-key in the Amplify app's service role
            400 | InvalidKeyId | arn:aws:kms:eu-central-1:123456789012:key/k-1 is disabled. | InvalidKeyId, arn:aws:kms:eu-central-1:123456789012:key/k-1 is disabled (request r-1); enable the KMS key that AWS names, or store the parameter again under another
            400 | OddException | Odd postgresql://u:p@h/d | OddException, Odd *** (request r-1); change what AWS names, or check any proxy, and run again
            404 | `` | `` | AWS answered 404 (request r-1); change what AWS names, or check any proxy, and run again
            """)
    void says_what_helps_by_what_was_refused(int status, String code, String message, String expected) {
        sandbox.fail("POST", "/ssm", -1, Fault.status(status, "{\"__type\":\"" + code + "\",\"message\":\"" + message + "\"}",
                Map.of("x-amzn-RequestId", "r-1")));
        assertEquals("neon-ci: Could not read SSM parameter /neon/api-key in region eu-central-1: "
                + expected.replace("SIGN-IN", "sign in to AWS again: the credentials have expired or are not valid") + ".\n",
                create().err().replaceAll("(?m)^AWS does not answer.*\n", ""));
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
    void says_what_helps_when_amplify_refuses() {
        sandbox.fail("GET", "/amplify/", -1, Fault.status(403, "{\"message\":\"The security token included in the request is expired\"}",
                Map.of("x-amzn-ErrorType", "ExpiredTokenException")));
        String err = cleanUp().err();
        assertTrue(err.endsWith(": ExpiredTokenException; sign in to AWS again: the credentials have expired or are not valid.\n"), err);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            {}                                 | AWS's answer holds no list, a branch without a name, or a page that was there before
            {"branches":[{"stage":"BETA"}]}    | AWS's answer holds no list, a branch without a name, or a page that was there before
            {"branches":[null]}                | AWS's answer holds no list, a branch without a name, or a page that was there before
            {"branches":[],"nextToken":"next"} | AWS's answer holds no list, a branch without a name, or a page that was there before
            """)
    void a_list_that_is_not_whole_ends_a_clean_up(String page, String trouble) {
        sandbox.fail("GET", "/amplify/", -1, Fault.status(200, page, Map.of()));
        assertEquals("neon-ci: Could not list the branches of Amplify app d1a2b3c4d5e6f7 in region eu-central-1: " + trouble
                + "; run again later.\n", cleanUp().err());
    }

    @ParameterizedTest
    @ValueSource(strings = {"sso_session = work\nsso_account_id = 1\nsso_role_name = r\n[sso-session work]\nsso_region = eu-west-1\n"
            + "sso_start_url = https://sso.example", "role_arn = arn:aws:iam::123456789012:role/r\nsource_profile = other",
            "login_session = arn:aws:iam::123456789012:user/u", "output = text"})
    void what_the_aws_command_can_sign_in_to_is_signed_in_to(String profile) throws IOException {
        Map<String, String> laptop = laptop("[profile work]\nregion = eu-central-1\n" + profile + "\n");
        laptop.put("AWS_PROFILE", "work");
        aws(laptop, "[ \"$*\" = 'configure export-credentials --format process' ] && [ \"$AWS_PROFILE\" = work ] && echo '{\"Version\": 1,"
                + " \"AccessKeyId\": \"" + sandbox.environment().get("AWS_ACCESS_KEY_ID") + "\", \"SecretAccessKey\": \""
                + sandbox.environment().get("AWS_SECRET_ACCESS_KEY") + "\"}'");
        Shell.Result result = run(laptop, "cleanup-branches");
        assertEquals(0, result.exitCode(), result.err());
        assertEquals("", result.err());
    }

    @Test
    void without_credentials_it_says_what_was_tried() throws IOException {
        Map<String, String> laptop = laptop("");
        laptop.put("AWS_REGION", "eu-central-1");
        assertEquals("neon-ci: Could not read SSM parameter /neon/api-key in region eu-central-1: there are no AWS credentials; in Amplify"
                + " give the app a service role, elsewhere sign in so that 'aws sts get-caller-identity' works.\n",
                run(laptop, "create-branch").err());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            \\x20[default]\\n\\x20region = eu-central-1 | Expected a profile or property definition on line 1
            [default]\\nregion = eu-central-1\\n[profile work |
            \\ufeff[default]\\nregion = eu-central-1 | Expected a profile definition on line 1
            [default]\\nregion | Expected an '=' sign defining a property on line 2
            """)
    void a_profile_that_cannot_be_read_stops_only_a_run_that_needs_it(String escaped, String problem) throws IOException {
        String config = escaped.replace("\\n", "\n").replace("\\x20", " ").replace("\\ufeff", "\ufeff");
        Map<String, String> laptop = laptop(config);
        laptop.put("AWS_REGION", "eu-central-1");
        Map<String, String> build = new HashMap<>(laptop);
        build.putAll(sandbox.environment());
        Shell.Result result = run(build, "cleanup-branches");
        assertEquals(0, result.exitCode(), result.err());
        assertEquals("", result.err());

        String err = run(laptop, "create-branch").err();
        assertTrue(err.contains("there are no AWS credentials") && err.lines().count() == 1, err);
        build.remove("AWS_REGION");
        assertTrue(run(build, "create-branch").err().startsWith("neon-ci: No AWS region is set: name it with --region or AWS_REGION; mend"
                + " the files in ~/.aws: "));
    }

    @Test
    void a_command_for_credentials_that_hangs_is_given_up_and_ended() throws IOException {
        Map<String, String> laptop = laptop("");
        laptop.put("AWS_REGION", "eu-central-1");
        aws(laptop, "echo $$ > \"$HOME/pid\"; exec sleep 600");
        Shell.Result result = run(laptop, "create-branch", "--wait", "1s");
        assertEquals("neon-ci: Something took longer than --wait allows, so the run was given up; run again, which goes on where this run"
                + " stopped, or give it longer with --wait.\n", result.err());
        assertEquals(1, result.exitCode());
        long command = Long.parseLong(Files.readString(folder.resolve("home/pid")).strip());
        ProcessHandle.of(command).ifPresent(process -> process.onExit().orTimeout(1, TimeUnit.MINUTES).join());
    }

    @Test
    void a_clock_that_is_wrong_is_corrected() {
        sandbox.aws().clockSkew(Duration.ofHours(3));
        assertEquals(0, create("--dry-run").exitCode());
    }

    @Test
    void what_waiting_cannot_mend_is_asked_once() {
        sandbox.aws().deny("ssm:GetParameter");
        assertFalse(create().err().contains("later"));
        assertEquals(1, sandbox.exchanges().size());
    }

    /** Returns the environment of a user whose credentials, if any, are in the files of ~/.aws. */
    private Map<String, String> laptop(String config) throws IOException {
        Path home = Files.createDirectories(folder.resolve("home"));
        Files.writeString(Files.createDirectories(home.resolve(".aws")).resolve("config"), config);
        Map<String, String> environment = sandbox.environment(Map.of("HOME", home.toString(), "JAVA_TOOL_OPTIONS", "-Duser.home=" + home,
                "PATH", Files.createDirectories(folder.resolve("bin")) + ":/usr/bin:/bin"));
        environment.keySet().removeAll(List.of("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"));
        return environment;
    }

    /** Puts an aws command on the PATH that does this. */
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
