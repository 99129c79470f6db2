//SOURCES InSandbox.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Bad input: one clear sentence, exit code 2 for the command line and 1 for what is not there, and nothing is changed. */
class CommandLineTest extends InSandbox {

    private static final String LIKE_A_KEY = "store that in an SSM parameter, or set NEON_API_KEY to it.";

    @BeforeEach
    void start() throws IOException {
        Files.writeString(envFile, "A=1\n");
    }

    @AfterEach
    void nothing_was_changed() throws IOException {
        assertEquals("A=1\n", Files.readString(envFile));
        assertEquals(1, sandbox.neon().branches().size());
    }

    @ParameterizedTest(name = "{0}={1}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            --app-id          | ``            | it must not be blank
            --app-id          | D1ABC         | it must be an Amplify app id such as d1a2b3c4d5
            --app-id          | d1-abc        | it must be an Amplify app id such as d1a2b3c4d5
            --app-id          | *             | it must be an Amplify app id such as d1a2b3c4d5
            --neon-project-id | ` `           | it must not be blank
            --neon-project-id | a/b           | it must be a Neon project id such as quiet-river-12345678
            --api-key-param   | ``            | it must not be blank
            --region          | ``            | it must not be blank
            --region          | eu/west       | it must be an AWS region such as eu-west-1
            --api-host        | ``            | it must not be blank
            --api-host        | http://neon.example  | it must be an https address (http only for this machine)
            --api-host        | http://127.0.0.1.evil.example | it must be an https address (http only for this machine)
            --api-host        | https://u:p@h/ | it must be an https address (http only for this machine)
            --api-host        | https://ho_st | it must be an https address (http only for this machine)
            --api-host        | https://[     | it must be an https address (http only for this machine)
            --api-host        | ftp://h       | it must be an https address (http only for this machine)
            --wait            | 5             | UNREADABLE
            --wait            | 0s            | UNREADABLE
            --wait            | -5m           | UNREADABLE
            """)
    void both_commands_name_an_option_with_a_bad_value(String option, String value, String reason) {
        for (String command : List.of("create-branch", "cleanup-branches")) {
            Cli.Result result = run(command, option, value);
            assertEquals(invalid(option, reason, command), result.err().replace("' or its variable", "'"));
            assertRefused(result);
        }
    }

    @ParameterizedTest(name = "{0}={1}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            --branch-name     | ``       | it must not be blank
            --parent-branch   | ``       | it must not be blank
            --masking-rules   | ``       | it must not be blank
            --role-name       | ` `      | it must not be blank
            --database-name   | ``       | it must not be blank
            --env-file        | ``       | it must not be blank
            --env-var         | ``       | it must not be blank
            --env-var         | A B      | it must be the name of a variable, such as DATABASE_URL
            --env-var         | 1A       | it must be the name of a variable, such as DATABASE_URL
            --env-var         | A=B      | it must be the name of a variable, such as DATABASE_URL
            --suspend-timeout | 59       | it must be 0, -1, or 60 to 604800 seconds
            --suspend-timeout | 604801   | it must be 0, -1, or 60 to 604800 seconds
            --suspend-timeout | -2       | it must be 0, -1, or 60 to 604800 seconds
            --suspend-timeout | five     | UNREADABLE
            --expires-in      | 31d      | Neon takes at most 30d
            --expires-in      | 721h     | Neon takes at most 30d
            --expires-in      | tomorrow | UNREADABLE
            --output          | yaml     | UNREADABLE
            """)
    void create_branch_names_an_option_with_a_bad_value(String option, String value, String reason) {
        Cli.Result result = create(option, value);
        assertEquals(invalid(option, reason, "create-branch"), result.err().replace("' or its variable", "'"));
        assertRefused(result);
    }

    @ParameterizedTest(name = "{0}={1}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            --keep          | ``  | it must not be blank
            --max-deletions | -1  | it must not be negative
            --max-deletions | all | UNREADABLE
            --grace         | 31d | Neon takes at most 30d
            --grace         | 3   | UNREADABLE
            """)
    void cleanup_branches_names_an_option_with_a_bad_value(String option, String value, String reason) {
        Cli.Result result = cleanUp(option, value);
        assertEquals(invalid(option, reason, "cleanup-branches"), result.err());
        assertRefused(result);
    }

    @ParameterizedTest
    @ValueSource(strings = {"{a,b}", "a,b", "[ab]*", "!a", "a|b", "a\\*", "release/{1..9}"})
    void refuses_a_keep_that_reads_like_another_language_of_globs(String keep) {
        Cli.Result result = cleanUp("--keep", keep);
        assertEquals("neon-ci: Invalid value for option '--keep': it must be a glob of * and ? alone, one for each --keep; write ? for any"
                + " of [ ] { } , | \\. See 'neon-ci cleanup-branches --help'.\n", result.err());
        assertRefused(result);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            AWS_APP_ID         | Missing required option '--app-id' (or the variable AWS_APP_ID).
            NEON_PROJECT_ID    | Missing required option '--neon-project-id' (or the variable NEON_PROJECT_ID).
            AWS_BRANCH         | Missing required option '--branch-name' (or the variable AWS_BRANCH).
            NEON_API_KEY_PARAM \
                | Missing the Neon API key: name the SSM parameter that holds it with --api-key-param or NEON_API_KEY_PARAM, or set \
            NEON_API_KEY.
            """)
    void names_what_is_missing_and_a_blank_variable_is_missing(String variable, String message) {
        for (String blank : List.of("", " ", "\t\n")) {
            Cli.Result result = create(Map.of(variable, blank));
            assertEquals("neon-ci: " + message + " See 'neon-ci create-branch --help'.\n", result.err());
            assertRefused(result);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"AWS_APP_ID", "NEON_PROJECT_ID", "NEON_API_HOST", "AWS_REGION"})
    void checks_a_variable_like_its_option(String variable) {
        assertRefused(create(Map.of(variable, "not/valid")));
    }

    @ParameterizedTest
    @ValueSource(strings = {"not an address", "http://aws.example", "http://127.0.0.1.aws.example", "ftp://aws.example", "https://",
            "http://[bad", "localhost:1", "https://user:password@aws.example", "https://under_score"})
    void asks_no_aws_endpoint_that_others_can_listen_to(String endpoint) {
        for (String variable : List.of("AWS_ENDPOINT_URL_SSM", "AWS_ENDPOINT_URL_AMPLIFY")) {
            Cli.Result result = cleanUp(Map.of(variable, endpoint));
            assertEquals("neon-ci: Invalid value for variable '" + variable + "': it must be an https address (http only for this machine)."
                    + " See 'neon-ci cleanup-branches --help'.\n", result.err());
            assertRefused(result);
        }
    }

    @Test
    void falls_back_from_option_to_variable_to_default() {
        Map<String, String> unset = new HashMap<>(Map.of("AWS_REGION", "", "AWS_DEFAULT_REGION", "us-west-2"));
        Cli.Result fromVariable = cleanUp(unset, "--api-key-param", "/nowhere");
        assertTrue(fromVariable.err().contains("SSM parameter /nowhere in region us-west-2: ParameterNotFound"), fromVariable.err());
        Cli.Result fromOption = cleanUp(unset, "--api-key-param", "/nowhere", "--region", "sa-east-1");
        assertTrue(fromOption.err().contains(" in region sa-east-1: "), fromOption.err());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            --api-key KEY             | Unknown option '--api-key'; did you mean '--api-key-param'?
            --api-key=KEY             | Unknown option '--api-key'; did you mean '--api-key-param'?
            --api-key:KEY             | Unknown option '--api-key'; did you mean '--api-key-param'?
            -kKEY                     | Unknown option '-k'.
            -KEY                      | Unknown option '-a'; did you mean '--app-id'?
            -1KEY                     | There is an argument too many, or a command that is not known.
            KEY                       | There is an argument too many, or a command that is not known.
            --output KEY              | Invalid value for option '--output'.
            --suspend-timeout KEY     | Invalid value for option '--suspend-timeout'.
            --suspend-timeout 9999999999 | Invalid value for option '--suspend-timeout'.
            --wait KEY                | Invalid value for option '--wait'.
            --expires-in KEY          | Invalid value for option '--expires-in'.
            --dry-run=KEY             | Invalid value for option '--dry-run'.
            --app-id --api-key-param=KEY | Option '--app-id' needs a value; one that begins with a hyphen needs an equals sign before it.
            --api-key-param KEY       | Invalid value for option '--api-key-param' or its variable: it looks like a Neon API key; LIKE
            --app-id KEY              | Invalid value for option '--app-id' or its variable: it looks like a Neon API key; LIKE
            --project-id KEY          | Invalid value for option '--neon-project-id' or its variable: it looks like a Neon API key; LIKE
            --region KEY              | Invalid value for option '--region' or its variable: it looks like a Neon API key; LIKE
            --api-host https://KEY.example | Invalid value for option '--api-host' or its variable: it looks like a Neon API key; LIKE
            --branch-name KEY         | Invalid value for option '--branch-name' or its variable: it looks like a Neon API key; LIKE
            --parent-branch KEY       | Invalid value for option '--parent-branch': it looks like a Neon API key; LIKE
            --role-name KEY           | Invalid value for option '--role-name': it looks like a Neon API key; LIKE
            --database-name KEY       | Invalid value for option '--database-name': it looks like a Neon API key; LIKE
            --env-file a/KEY          | Invalid value for option '--env-file': it looks like a Neon API key; LIKE
            --env-var KEY             | Invalid value for option '--env-var': it looks like a Neon API key; LIKE
            """)
    void a_key_where_none_belongs_is_neither_repeated_nor_sent(String args, String message) {
        Cli.Result result = create(args.replace("KEY", sandbox.apiKey()).split(" "));
        assertEquals("neon-ci: " + message.replace("LIKE", LIKE_A_KEY) + " See 'neon-ci create-branch --help'.\n", result.err());
        assertRefused(result);
    }

    @ParameterizedTest
    @ValueSource(strings = {"NEON_API_KEY_PARAM", "AWS_APP_ID", "NEON_PROJECT_ID", "AWS_REGION", "NEON_API_HOST", "AWS_BRANCH"})
    void a_key_in_a_variable_where_none_belongs_is_neither_repeated_nor_sent(String variable) {
        Cli.Result result = create(Map.of(variable, sandbox.apiKey()));
        assertTrue(result.err().contains("' or its variable: it looks like a Neon API key; " + LIKE_A_KEY), result.err());
        assertRefused(result);
    }

    @Test
    void a_key_among_what_a_clean_up_is_to_do_is_neither_repeated_nor_sent() {
        for (String option : List.of("--keep", "--max-deletions")) {
            assertRefused(cleanUp(option, sandbox.apiKey()));
        }
        assertRefused(cleanUp("--" + sandbox.apiKey()));
    }

    @ParameterizedTest
    @ValueSource(strings = {"\n", "\r\n", " ", "\t", "\n\n"})
    void white_space_around_the_key_is_no_part_of_it(String space) {
        sandbox.aws().secureString("/neon/api-key", sandbox.apiKey() + space);
        assertEquals(0, create("--dry-run").exitCode());
        sandbox.aws().secureString("/neon/api-key", space + sandbox.apiKey());
        assertEquals(0, create("--dry-run").exitCode());
        assertEquals(0, create(Map.of("NEON_API_KEY_PARAM", "", "NEON_API_KEY", space + sandbox.apiKey() + space), "--dry-run").exitCode());
    }

    @Test
    void the_longest_time_that_can_be_given_is_no_bug() {
        assertEquals(0, create("--dry-run", "--wait", "999999d").exitCode());
    }

    @Test
    void the_misspelt_suspend_timeout_is_not_ignored() {
        Cli.Result result = create("--suspend_timeout", "60");
        assertEquals("neon-ci: Unknown option '--suspend'; did you mean '--suspend-timeout'? See 'neon-ci create-branch --help'.\n",
                result.err());
        assertRefused(result);
    }

    @ParameterizedTest
    @ValueSource(strings = {"--branch-name", "--app-id", "--env-file"})
    void an_option_is_not_taken_for_the_value_of_the_one_before(String option) {
        Cli.Result result = create(option, "--dry-run");
        assertEquals("neon-ci: Option '" + option + "' needs a value; one that begins with a hyphen needs an equals sign before it. See"
                + " 'neon-ci create-branch --help'.\n", result.err());
        assertRefused(result);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            creat-branch      | There is an argument too many, or a command that is not known; did you mean 'create-branch'?
            cleanup           | There is an argument too many, or a command that is not known; did you mean 'cleanup-branches'?
            napi_0123456789ab | There is an argument too many, or a command that is not known.
            """)
    void a_misspelt_command_is_told_from_an_argument_too_many(String command, String sentence) {
        Cli.Result result = run(command);
        assertEquals("neon-ci: " + sentence + " See 'neon-ci --help'.\n", result.err());
        assertRefused(result);
    }

    @Test
    void a_name_with_spaces_that_was_not_quoted_is_refused() {
        Cli.Result result = create("--branch-name", "my", "branch");
        assertEquals("neon-ci: There is an argument too many, or a command that is not known. See 'neon-ci create-branch --help'.\n",
                result.err());
        assertRefused(result);
    }

    @Test
    void without_a_command_it_shows_the_usage() {
        Cli.Result result = run();
        assertEquals(run("--help").out(), result.err());
        assertEquals("", result.out());
        assertEquals(2, result.exitCode());
    }

    @Test
    void help_goes_to_stdout_and_names_every_option_that_the_parser_knows() {
        for (String command : List.of("create-branch", "cleanup-branches")) {
            Cli.Result help = run(command, "--help");
            assertEquals(0, help.exitCode());
            assertEquals("", help.err());
            NeonCi.commandLine(Map.of()).getSubcommands().get(command).getCommandSpec().options().stream()
                    .filter(option -> !option.hidden())
                    .forEach(option -> assertTrue(help.out().contains(option.longestName()), option.longestName()));
        }
    }

    @Test
    void defaults_hold_when_the_option_is_left_out() {
        Cli.Result help = run("create-branch", "--help");
        assertTrue(help.out().replaceAll("\\s+", " ").contains("Env file to write, repeatable. Default: .env."), help.out());
        Cli.Result plan = create("--dry-run");
        assertTrue(plan.out().contains(" from 'production', and write the connection strings of role 'neondb_owner' and database"
                + " 'neondb' to " + envFile + ".\n"), plan.out());
    }

    @Test
    void a_missing_parameter_is_named_with_the_place_and_the_next_step() {
        Cli.Result result = create("--api-key-param", "/nowhere");
        assertTrue(result.err().matches("neon-ci: Could not read SSM parameter /nowhere in region eu-central-1: ParameterNotFound"
                + " \\(request [0-9a-f-]+\\); check --api-key-param and --region, or store the key in a file and run 'aws ssm"
                + " put-parameter --type SecureString --name NAME --value file://FILE'\\.\n"), result.err());
        assertFailed(result);
    }

    @Test
    void a_denied_list_of_branches_names_the_action_the_arn_and_the_role() {
        sandbox.aws().deny("amplify:ListBranches");
        Cli.Result result = cleanUp();
        assertTrue(result.err().endsWith("; allow amplify:ListBranches on arn:aws:amplify:eu-central-1:ACCOUNT:apps/d1a2b3c4d5e6f7 and"
                + " arn:aws:amplify:eu-central-1:ACCOUNT:apps/d1a2b3c4d5e6f7/branches/* in the"
                + " Amplify app's service role.\n"), result.err());
        assertFailed(result);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "two words", "napi_line\nbreak"})
    void a_parameter_that_holds_no_key_is_named_and_not_shown(String value) {
        sandbox.aws().secureString("/neon/api-key", value);
        Cli.Result result = create();
        assertEquals("neon-ci: The value of SSM parameter /neon/api-key is no Neon API key: it is empty, or has a space or a line break in"
                + " it; store the key alone.\n", result.err());
        assertFailed(result);
    }

    @Test
    void a_refused_key_is_named_by_where_it_came_from() {
        Cli.Result result = create(Map.of("NEON_API_KEY_PARAM", "", "NEON_API_KEY", "napi_wrong"));
        assertTrue(result.err().matches("neon-ci: Could not list the branches of Neon project quiet-sandbox-12345678: Neon answered 401.*"
                + " \\(request [0-9a-f-]+\\); check the API key in NEON_API_KEY\\.\n"), result.err());
        assertFailed(result);
    }

    @Test
    void a_missing_project_is_named() {
        Cli.Result result = create("--neon-project-id", "another");
        assertTrue(result.err().matches("neon-ci: Could not list the branches of Neon project another: Neon answered 404, .* \\(request"
                + " [0-9a-f-]+\\); check --neon-project-id, and that the API key in SSM parameter /neon/api-key has access to this"
                + " project\\.\n"), result.err());
        assertFailed(result);
    }

    @Test
    void a_missing_parent_is_named() {
        Cli.Result result = create("--parent-branch", "stagin");
        assertEquals("neon-ci: The Neon project has no branch 'stagin' to branch from; check --parent-branch and"
                + " --neon-project-id.\n", result.err());
        assertFailed(result);
    }

    private static String invalid(String option, String reason, String command) {
        return "neon-ci: Invalid value for option '" + option + "'" + (reason.equals("UNREADABLE") ? "" : ": " + reason) + ". See 'neon-ci "
                + command + " --help'.\n";
    }

    /** The command line is wrong, so nothing was asked of anyone. */
    private void assertRefused(Cli.Result result) {
        assertEquals(2, result.exitCode());
        assertEquals("", result.out());
        assertEquals(1, result.err().lines().count(), result.err());
        assertEquals(List.of(), sandbox.exchanges());
    }

    private void assertFailed(Cli.Result result) {
        assertEquals(1, result.exitCode());
        assertEquals("", result.out());
        assertEquals(1, result.err().lines().count(), result.err());
        assertEquals(List.of(), changes());
    }
}
