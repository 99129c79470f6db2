//SOURCES InSandbox.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine.Model.OptionSpec;

/** Bad input: one sentence, exit code 2 for the command line and 1 for what does not exist, and nothing is changed. */
class CommandLineTest extends InSandbox {

    private static final List<String> COMMANDS = List.of("create-branch", "cleanup-branches");

    @BeforeEach
    void start() throws IOException {
        Files.writeString(envFile, "A=1\n");
    }

    @AfterEach
    void nothing_was_changed() throws IOException {
        assertEquals("A=1\n", Files.readString(envFile));
        assertEquals(List.of(), changes());
    }

    /** Tries every option that the parser knows, so a new one needs no row here. */
    @TestFactory
    Stream<DynamicTest> every_option_with_a_value_refuses_a_blank_an_api_key_and_another_option() {
        return COMMANDS.stream().flatMap(command -> options(command).filter(option -> option.arity().max() > 0)
                .map(option -> DynamicTest.dynamicTest(command + " " + option.longestName(), () -> {
                    boolean isText = !option.type().isPrimitive() && option.converters().length == 0 && !option.type().isEnum();
                    for (String value : List.of("", " ", sandbox.apiKey(), "a/" + sandbox.apiKey(),
                            "--region=" + sandbox.apiKey())) {
                        Cli.Result result = run(command, option.longestName(), value);
                        assertRefused(result, option.names()[0]);
                        String words = value.startsWith("--") ? "needs a value" : !isText ? "" : value.isBlank() ? "blank"
                                : "NEON_API_KEY";
                        assertTrue(result.err().contains(words), result.err());
                    }
                })));
    }

    @TestFactory
    Stream<DynamicTest> a_flag_with_a_value_is_refused() {
        return COMMANDS.stream().flatMap(command -> options(command).filter(option -> option.arity().max() == 0)
                .map(option -> DynamicTest.dynamicTest(command + " " + option.longestName(),
                        () -> assertRefused(run(command, option.longestName() + "=" + sandbox.apiKey()), option.longestName()))));
    }

    private static Stream<OptionSpec> options(String command) {
        return NeonCi.commandLine(Map.of()).getSubcommands().get(command).getCommandSpec().options().stream();
    }

    @ParameterizedTest(name = "{0} {1}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            --app-id          | D1ABC    | such as d1a2b3c4d5
            --app-id          | d1-abc   | such as d1a2b3c4d5
            --app-id          | *        | such as d1a2b3c4d5
            --neon-project-id | a/b      | such as quiet-river-12345678
            --region          | eu/west  | such as eu-west-1
            --env-var         | A B      | such as DATABASE_URL
            --env-var         | 1A       | such as DATABASE_URL
            --env-var         | A=B      | such as DATABASE_URL
            --unpooled-env-var | DATABASE_URL | --env-var
            --suspend-timeout | 59       | 60 to 604800
            --suspend-timeout | 604801   | 60 to 604800
            --suspend-timeout | -2       | 60 to 604800
            --suspend-timeout | 9999999999 |
            --wait            | 5        |
            --wait            | 0s       |
            --wait            | -5m      |
            --expires-in      | 31d      | 30d
            --expires-in      | 721h     | 30d
            --expires-in      | tomorrow |
            --grace           | 31d      | 30d
            --max-deletions   | -1       | negative
            --max-deletions   | all      |
            --output          | yaml     |
            --keep            | {a,b}    | * and ?
            --keep            | a,b      | * and ?
            --keep            | [ab]*    | * and ?
            --keep            | !a       | * and ?
            --keep            | `a|b`    | * and ?
            --keep            | a\\*     | * and ?
            """)
    void a_value_that_an_option_cannot_have_is_refused_with_the_option_and_the_reason(String option, String value, String words) {
        for (String command : COMMANDS) {
            if (options(command).anyMatch(known -> List.of(known.names()).contains(option))) {
                Cli.Result result = run(command, option, value);
                assertRefused(result, option);
                assertTrue(words == null || result.err().contains(words), result.err());
            }
        }
    }

    @Test
    void the_longest_possible_time_is_allowed() {
        assertEquals(0, create("--dry-run", "--wait", "999999d").exitCode());
    }

    @ParameterizedTest
    @CsvSource({"AWS_APP_ID, --app-id", "NEON_PROJECT_ID, --neon-project-id", "AWS_BRANCH, --branch-name",
        "NEON_API_KEY_PARAM, --api-key-param"})
    void what_is_missing_is_named_with_its_variable_and_a_blank_variable_is_missing(String variable, String option) {
        for (String blank : List.of("", " ", "\t\n")) {
            Cli.Result result = create(Map.of(variable, blank));
            assertRefused(result, option);
            assertTrue(result.err().contains(variable), result.err());
        }
    }

    @ParameterizedTest
    @CsvSource({"AWS_APP_ID, --app-id", "NEON_PROJECT_ID, --neon-project-id", "NEON_API_HOST, --api-host", "AWS_REGION, --region",
        "AWS_BRANCH, --branch-name", "NEON_API_KEY_PARAM, --api-key-param"})
    void a_variable_is_checked_like_its_option(String variable, String option) {
        assertRefused(create(Map.of(variable, sandbox.apiKey())), option);
        assertRefused(create(Map.of(variable, "not\ufffdvalid")), option);
    }

    @ParameterizedTest
    @ValueSource(strings = {"not an address", "http://aws.example", "http://127.0.0.1.aws.example", "ftp://aws.example", "https://",
        "http://[bad", "localhost:1", "https://user:password@aws.example", "https://under_score"})
    void no_address_is_used_that_others_can_listen_to(String address) {
        assertRefused(create("--api-host", address), "NEON_API_HOST");
        for (String variable : List.of("AWS_ENDPOINT_URL_SSM", "AWS_ENDPOINT_URL_AMPLIFY")) {
            assertRefused(cleanUp(Map.of(variable, address)), variable);
        }
    }

    @Test
    void an_option_counts_before_its_variable_and_that_before_the_next_one() {
        Map<String, String> variables = Map.of("AWS_REGION", "", "AWS_DEFAULT_REGION", "us-west-2");
        for (String region : List.of("us-west-2", "sa-east-1")) {
            String[] more = region.equals("us-west-2") ? new String[] {} : new String[] {"--region", region};
            Cli.Result result = create(variables, more);
            assertTrue(result.err().contains("/neon/api-key in region " + region + ": "), result.err());
        }
    }

    /** What was not understood may be a secret, so only names of options are repeated. */
    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            --api-key KEY               | --api-key
            --api-key=KEY               | --api-key
            --api-key:KEY               | --api-key
            -kKEY                       | -k
            -KEY                        | -a
            -1KEY                       | argument
            KEY                         | argument
            --KEY                       | option
            --branch-name my branch     | quotes
            --keep                      | --keep
            --production-branch Feature/login | 'Feature/login'
            --param host=x              | --param
            --production-brnach main    | '--production-brnach'. See
            """)
    void what_is_not_understood_is_refused_and_not_repeated(String args, String words) {
        assertRefused(create(args.replace("KEY", sandbox.apiKey()).split(" ")), words);
    }

    @ParameterizedTest
    @CsvSource({"creat-branch, create-branch", "cleanup, cleanup-branches", "napi_0123456789ab, command"})
    void an_unknown_command_is_refused_with_the_known_ones(String command, String words) {
        assertRefused(run(command), words);
    }

    @ParameterizedTest
    @ValueSource(strings = {"--production-branch main", "--dry-run", "--branch-name x --dry-run"})
    void a_forgotten_command_is_asked_for(String args) {
        Cli.Result result = run(args.split(" "));
        assertRefused(result, "create-branch");
        assertTrue(result.err().contains("cleanup-branches"), result.err());
    }

    @Test
    void no_advice_names_a_hidden_option() {
        for (Fault fault : List.of(Fault.notJson(), Fault.status(302, "", Map.of("Location", "https://example.com")))) {
            sandbox.failNoMore();
            sandbox.fail("GET", "/api/", -1, fault);
            Cli.Result result = create("--wait", "1s");
            assertEquals(1, result.exitCode());
            options("create-branch").filter(OptionSpec::hidden)
                    .forEach(option -> assertFalse(result.err().contains(option.longestName()), result.err()));
        }
    }

    @Test
    void without_a_command_it_shows_the_usage() {
        Cli.Result result = run();
        assertEquals(run("--help").out(), result.err());
        assertEquals("", result.out());
        assertEquals(2, result.exitCode());
    }

    @Test
    void help_goes_to_stdout_and_names_every_option() {
        for (String command : COMMANDS) {
            Cli.Result help = run(command, "--help");
            assertEquals(0, help.exitCode());
            assertEquals("", help.err());
            options(command).filter(option -> !option.hidden())
                    .forEach(option -> assertTrue(help.out().contains(option.longestName()), option.longestName()));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"\n", "\r\n", " ", "\t", "\n\n"})
    void white_space_around_the_api_key_is_ignored(String space) {
        sandbox.aws().secureString("/neon/api-key", space + sandbox.apiKey() + space);
        assertEquals(0, create("--dry-run").exitCode());
        assertEquals(0, create(Map.of("NEON_API_KEY_PARAM", "", "NEON_API_KEY", space + sandbox.apiKey() + space), "--dry-run").exitCode());
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "napi_two hidden", "napi_line\nhidden"})
    void a_parameter_without_an_api_key_is_named_and_its_value_is_not_shown(String value) {
        sandbox.aws().secureString("/neon/api-key", value);
        Cli.Result result = create();
        assertFailed(result, "SSM parameter /neon/api-key");
        assertFalse(result.err().contains("hidden"), result.err());
    }

    @Test
    void what_does_not_exist_or_is_not_allowed_is_named_with_the_next_step() {
        assertFailed(create("--api-key-param", "/nowhere"), "SSM parameter /nowhere", "eu-central-1", "--api-key-param", "put-parameter");
        assertFailed(create(Map.of("NEON_API_KEY_PARAM", "", "NEON_API_KEY", "napi_wrong")), "401", "(request ", "NEON_API_KEY");
        assertFailed(create("--neon-project-id", "another"), "project another", "404", "--neon-project-id", "/neon/api-key");
        assertFailed(cleanUp("--app-id", "d9"), "app d9", "--app-id", "--region");
        sandbox.aws().deny("amplify:ListBranches");
        assertFailed(cleanUp(), "amplify:ListBranches", "arn:aws:amplify:eu-central-1:ACCOUNT:apps/d1a2b3c4d5e6f7/branches/*");
    }

    /** The command line is wrong, so no request was sent. */
    private void assertRefused(Cli.Result result, String words) {
        assertEquals(2, result.exitCode(), result.err());
        assertEquals("", result.out());
        assertTrue(result.err().startsWith("neon-ci: ") && result.err().lines().count() == 1 && result.err().contains(words), result.err());
        assertEquals(List.of(), sandbox.exchanges());
    }

    private void assertFailed(Cli.Result result, String... words) {
        assertEquals(1, result.exitCode(), result.err());
        assertEquals("", result.out());
        assertTrue(result.err().startsWith("neon-ci: ") && result.err().lines().count() == 1, result.err());
        Stream.of(words).forEach(word -> assertTrue(result.err().contains(word), result.err()));
    }
}
