//DEPS org.yaml:snakeyaml:2.7
//SOURCES ../command/InSandbox.java
//SOURCES ../sandbox/Certificate.java
//SOURCES Npm.java
//SOURCES Readme.java

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.DynamicTest.dynamicTest;

import com.fasterxml.jackson.databind.JsonNode;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.yaml.snakeyaml.Yaml;
import picocli.CommandLine;
import picocli.CommandLine.Model.OptionSpec;

/** Holds the README to the truth: its command lines, its options, its output and its error texts are those of the program. */
class ReadmeTest extends InSandbox {

    private static final Pattern COMMAND =
            Pattern.compile("(?:\\bneon-ci(?:\\.java|\\.jar|@\\S+)? |`)((?:create-branch|cleanup-branches)\\b[^`\\n]*)");
    private static final Path PROJECT = Path.of("").toAbsolutePath();

    @Test
    void begins_with_what_the_log_really_says() {
        List<String> shown = shown(Readme.block("console", "cleanup-branches"));
        assertEquals(3, shown.size());
        assertShows(shown.get(0), Map.of("AWS_BRANCH", "feature/login"));
        assertShows(shown.get(1), Map.of("AWS_BRANCH", "main"));
        sandbox.neon().add(SandboxAws.APP_ID + "-feature/old");
        assertShows(shown.get(2), Map.of("AWS_BRANCH", "main"));
        String lines = Readme.block("yaml", "cleanup-branches");
        shown.forEach(text -> assertTrue(lines.contains("- " + command(text) + "\n"), text));
    }

    @Test
    void checks_a_set_up_with_no_variable_of_a_build() {
        String shown = shown(Readme.block("console", "--dry-run")).get(0).replace("quiet-river-12345678", SandboxNeon.PROJECT_ID);
        Map<String, String> none = Stream.of("AWS_APP_ID", "AWS_BRANCH", "AWS_JOB_ID", "AWS_REGION", "NEON_PROJECT_ID",
                "NEON_API_KEY_PARAM").collect(Collectors.toMap(name -> name, name -> ""));
        assertShows(shown, none);
    }

    /** Splits a block into its commands, each with what it prints. */
    private static List<String> shown(String block) {
        return Stream.of(block.split("(?m)^\\$ ")).filter(text -> !text.isBlank()).toList();
    }

    private static String command(String shown) {
        return shown.lines().findFirst().orElseThrow();
    }

    /** Runs the command, and expects what the README shows but for ids and times. */
    private void assertShows(String shown, Map<String, String> changes) {
        List<String> words = new ArrayList<>(words(command(shown).replaceFirst(".*neon-ci.java ", "")));
        if (words.get(0).equals("create-branch")) {
            words.addAll(List.of("--env-file", envFile.toString()));
        }
        String said = Cli.run(sandbox, changes, words.toArray(String[]::new)).out().replace(folder + "/", "");
        assertEquals(anonymous(shown.replaceFirst(".*\n", "")).strip(), anonymous(said).strip());
    }

    private static String anonymous(String output) {
        return output.replaceAll("br-[a-z0-9-]+", "br-").replaceAll("\\d{4}-\\d\\d-\\d\\dT[\\d:]+Z", "a time");
    }

    @TestFactory
    Stream<DynamicTest> has_only_command_lines_that_the_program_takes() {
        List<String> commands = new ArrayList<>();
        Matcher matcher = COMMAND.matcher(Readme.TEXT);
        while (matcher.find()) {
            commands.add(matcher.group(1).replaceFirst("\\s+(#|\\|\\||&&|>|\\|).*", "").strip());
        }
        assertTrue(commands.size() >= 12, commands::toString);
        return commands.stream().distinct().map(command -> dynamicTest(command,
                () -> NeonCi.commandLine(Map.of()).parseArgs(words(command).toArray(String[]::new))));
    }

    /** Each option that is neither hidden nor every command's, with its names, the variables it falls back to and its default; no other. */
    @Test
    void lists_every_option_with_its_variables_and_its_default() {
        Set<String> listed = new TreeSet<>();
        String group = "";
        for (List<String> row : Readme.rows("## Options")) {
            if (row.get(0).startsWith("**")) {
                group = row.get(0).replaceAll("[*`]", "");
            } else {
                listed.add(option(group, Readme.quoted(row.get(0)), Readme.quoted(row.get(1)), Readme.quoted(row.get(2))));
            }
        }
        Map<String, CommandLine> commands = NeonCi.commandLine(Map.of()).getSubcommands();
        Set<String> real = new TreeSet<>();
        commands.forEach((name, command) -> {
            for (OptionSpec option : command.getCommandSpec().options()) {
                boolean isShared = commands.values().stream()
                        .allMatch(other -> other.getCommandSpec().findOption(option.longestName()) != null);
                if (!option.hidden() && !option.usageHelp() && !option.versionHelp()) {
                    real.add(option(isShared ? "Both commands" : name, List.of(option.names()), variables(option),
                            Stream.ofNullable(option.defaultValue()).toList()));
                }
            }
        });
        assertEquals(String.join("\n", real), String.join("\n", listed));
    }

    private static String option(String group, List<String> names, List<String> variables, List<String> defaultValue) {
        return group + " " + new TreeSet<>(names) + " " + variables + " " + defaultValue;
    }

    /** Returns the variables that the option asks for when they are all unset. */
    private static List<String> variables(OptionSpec option) {
        List<String> asked = new ArrayList<>();
        new SharedOptions.Defaults(new HashMap<>() {
            @Override
            public String get(Object name) {
                asked.add((String) name);
                return null;
            }
        }).defaultValue(option);
        return asked;
    }

    @Test
    void asks_for_the_permissions_that_the_program_uses_and_no_other() {
        List<String> granted = new ArrayList<>();
        for (JsonNode statement : Cli.json(Readme.block("json", "ssm:GetParameter")).path("Statement")) {
            granted.add(statement.path("Action").asText());
        }
        create();
        cleanUp();
        Set<String> used = new LinkedHashSet<>();
        for (Exchange exchange : sandbox.exchanges()) {
            if (exchange.path().startsWith("/ssm")) {
                used.add(exchange.requestHeaders().get("x-amz-target").replace("AmazonSSM.", "ssm:"));
            } else if (exchange.path().startsWith("/amplify/")) {
                boolean isList = exchange.method().equals("GET") && exchange.path().endsWith("/branches");
                used.add(isList ? "amplify:ListBranches" : exchange.toString());
            }
        }
        assertEquals(granted, List.copyOf(used));
    }

    @Test
    void shows_the_fields_that_json_output_has() {
        sandbox.neon().add(SandboxAws.APP_ID + "-old");
        String created = create("--output", "json").out();
        String cleaned = cleanUp("--output", "json", "--grace", "3d").out();
        assertEquals(Stream.of(created, cleaned).map(ReadmeTest::shape).toList(),
                Readme.block("json", "env_files").lines().map(ReadmeTest::shape).toList());
    }

    @TestFactory
    Stream<DynamicTest> has_blocks_that_can_be_copied() {
        return Stream.concat(
                Readme.blocks("json").stream().filter(block -> !block.contains("env_files"))
                        .map(block -> dynamicTest(block, () -> assertTrue(Cli.json(block).isContainerNode()))),
                Readme.blocks("yaml").stream().map(block -> dynamicTest(block, () -> assertDoesNotThrow(() -> new Yaml().load(block)))));
    }

    @Test
    void brings_the_files_into_a_repository_whose_gitignore_is_of_a_python_project() throws IOException {
        for (String part : List.of("neon-ci.java", "lib", ".ci")) {
            Shell.copy(PROJECT.resolve(part), folder.resolve("neon-ci").resolve(part));
        }
        Path app = Files.createDirectory(folder.resolve("app"));
        Files.writeString(app.resolve(".gitignore"), "build/\nlib/\nlib64/\n");
        Shell.Result result = Shell.run(app, Map.of("HOME", folder.toString()), "bash", "-ec", "git init -q\n"
                + Readme.block("bash", "mkdir -p .ci") + "git ls-files --stage | sed 's/ .*\t/ /'\n"
                + "git check-ignore .env .env.local .jbang/repository\n");
        assertEquals(0, result.exitCode(), result.err());
        List<String> files = new ArrayList<>(List.of("100755 .ci/jbang", "100644 .gitignore"));
        try (Stream<Path> lib = Files.list(Path.of("lib"))) {
            lib.sorted().forEach(file -> files.add("100644 " + file));
        }
        files.addAll(List.of("100755 neon-ci.java", ".env", ".env.local", ".jbang/repository"));
        assertEquals(files, result.out().lines().toList());
    }

    @Test
    void stores_the_key_without_a_word_of_it_on_a_command_line() throws IOException {
        Path aws = Files.writeString(folder.resolve("aws"), """
                #!/usr/bin/env bash
                for word; do case $word in file://*) echo "[$(cat "${word#file://}")]" ;; *) echo "$word" ;; esac; done
                """);
        assertTrue(aws.toFile().setExecutable(true));
        Shell.Result result = Shell.run(folder, Map.of("PATH", folder + ":" + System.getenv("PATH")), "bash", "-c",
                "echo 'typed in' | " + Readme.block("bash", "put-parameter"));
        assertEquals("ssm put-parameter --type SecureString --name /neon/api-key --value [typed in]",
                String.join(" ", result.out().lines().toList()), result.err());
    }

    @Test
    @Tag("slow")
    void deletes_a_retired_apps_last_branches_in_one_line() throws IOException {
        Path bin = Npm.packages("neonctl@5.0.1").resolve("node_modules/.bin");
        Path npx = Files.writeString(folder.resolve("npx"), "#!/usr/bin/env bash\nname=$1; shift; exec \"" + bin + "/$name\" \"$@\"\n");
        assertTrue(npx.toFile().setExecutable(true));
        Map<String, String> environment = sandbox.environment(Map.of("PATH", folder + ":" + System.getenv("PATH"),
                "HOME", folder.toString(), "NEON_API_KEY", sandbox.apiKey()));
        List.of("-main", "-feature/old").forEach(branch -> sandbox.neon().add(SandboxAws.APP_ID + branch));
        sandbox.neon().add("d9another-main");
        Shell.Result result = Shell.run(folder, environment, "bash", "-ec", Readme.block("bash", "npx neonctl")
                .replace("PROJECT_ID", SandboxNeon.PROJECT_ID).replace("APP_ID", SandboxAws.APP_ID));
        assertEquals(0, result.exitCode(), result.err());
        assertEquals(List.of("production", "d9another-main"), sandbox.neon().names());
    }

    @Test
    void names_every_file_of_the_program() throws IOException {
        String layout = Readme.TEXT.substring(Readme.TEXT.indexOf("\n## How the code is laid out\n"));
        try (Stream<Path> files = Files.list(Path.of("lib"))) {
            assertEquals(Set.of(), files.map(file -> file.getFileName().toString().replace(".java", ""))
                    .filter(name -> !Readme.quoted(layout).contains(name)).collect(Collectors.toSet()));
        }
    }

    @Test
    void lets_java_trust_a_companys_certificate_authority() throws Exception {
        String lines = Readme.quoted(Readme.TEXT).stream().filter(code -> code.matches("keytool .*|export JAVA_TOOL_OPTIONS=.*"))
                .collect(Collectors.joining("\n"));
        String err = behindACompanysCertificate(lines);
        assertTrue(err.contains("Neon answered 401"), err);
    }

    /** Runs neon-ci, after these lines of a shell, where Neon has a certificate that only the holder of company.pem trusts. */
    private String behindACompanysCertificate(String lines) throws Exception {
        HttpsServer neon = HttpsServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        neon.setHttpsConfigurator(new HttpsConfigurator(Certificate.make(folder)));
        neon.createContext("/", exchange -> {
            exchange.sendResponseHeaders(401, -1);
            exchange.close();
        });
        neon.start();
        try {
            Map<String, String> variables = Map.of("AWS_APP_ID", SandboxAws.APP_ID, "AWS_BRANCH", "main", "NEON_PROJECT_ID", "p",
                    "NEON_API_KEY", "napi_x", "NEON_API_HOST", "https://localhost:" + neon.getAddress().getPort(), "PATH", pathWithJava());
            return Shell.run(folder, variables, "bash", "-ec", lines + "\n" + Shell.quoted(Shell.java("create-branch"))).err();
        } finally {
            neon.stop(0);
        }
    }

    private static String pathWithJava() {
        return Path.of(System.getProperty("java.home"), "bin") + ":" + System.getenv("PATH");
    }

    @Test
    @Tag("slow")
    void has_masking_rules_that_leave_no_row_as_it_was() throws Exception {
        String rules = Files.writeString(folder.resolve("rules.json"), Readme.block("json", "masking_value")).toString();
        try (Sandbox real = Sandbox.start()) {
            SandboxPostgres.query(real.neon().connectionString("production"),
                    "alter table customers add column email text not null default 'someone@shop.example'");
            Cli.Result result = Cli.create(real, envFile, "--masking-rules", rules);
            assertEquals(0, result.exitCode(), result.err());
            assertEquals(List.of("Someone false"), SandboxPostgres.query(real.neon().connectionString(Cli.BRANCH),
                    "select distinct name || ' ' || (email like '%@shop.example') from customers"));
        }
    }

    /** Each row of the table of troubles is what one of these situations prints, and each situation has its row. */
    @TestFactory
    Stream<DynamicTest> explains_errors_in_the_words_they_are_printed_in() throws Exception {
        List<String> outputs = troubles();
        List<Pattern> texts = Readme.rows("## Troubleshooting").stream().map(row -> Readme.quoted(row.get(0)).get(0))
                .map(text -> Stream.of(text.split("…", -1)).map(Pattern::quote).collect(Collectors.joining(".+")))
                .map(Pattern::compile).toList();
        return Stream.concat(
                texts.stream().map(text -> dynamicTest(text.pattern(),
                        () -> assertTrue(outputs.stream().anyMatch(output -> text.matcher(output).find()), "no situation prints it"))),
                outputs.stream().map(output -> dynamicTest(output,
                        () -> assertTrue(texts.stream().anyMatch(text -> text.matcher(output).find()), "it has no row"))));
    }

    /** Returns what is printed in each trouble. */
    private List<String> troubles() throws Exception {
        Consumer<Sandbox> nothing = sandbox -> { };
        return List.of(
                trouble(nothing, Map.of("DATABASE_URL", "postgresql://elsewhere"), "create-branch"),
                withWinningFile(),
                trouble(nothing, Map.of("NEON_API_KEY_PARAM", ""), "create-branch"),
                trouble(nothing, Map.of("NEON_API_KEY_PARAM", "/nowhere"), "create-branch"),
                trouble(sandbox -> sandbox.aws().deny("ssm:GetParameter"), Map.of(), "create-branch"),
                trouble(sandbox -> sandbox.aws().deny("amplify:ListBranches"), Map.of(), "cleanup-branches"),
                withoutCredentials(),
                trouble(nothing, Map.of("NEON_PROJECT_ID", "another"), "create-branch"),
                trouble(sandbox -> sandbox.neon().branchesLimit(1), Map.of(), "create-branch"),
                trouble(sandbox -> sandbox.neon().operationsTake(Duration.ofHours(1)), Map.of(), "create-branch", "--wait", "3s"),
                trouble(sandbox -> sandbox.aws().removeBranches(), Map.of(), "cleanup-branches"),
                trouble(nothing, Map.of("NEON_API_KEY_PARAM", "napi_" + "x".repeat(64)), "create-branch"),
                behindACompanysCertificate(""),
                withoutJBang());
    }

    private String trouble(Consumer<Sandbox> situation, Map<String, String> changes, String... args) {
        try (Sandbox another = Sandbox.withoutPostgres()) {
            situation.accept(another);
            String[] more = Arrays.copyOfRange(args, 1, args.length);
            Cli.Result result = args[0].equals("create-branch") ? Cli.create(another, changes, envFile, more)
                    : Cli.run(another, changes, args);
            return result.err();
        }
    }

    private String withWinningFile() throws IOException {
        Path winner = Files.writeString(folder.resolve(".env.production"), "DATABASE_URL=postgresql://elsewhere\n");
        String output = trouble(sandbox -> { }, Map.of(), "create-branch");
        Files.delete(winner);
        return output;
    }

    /** The AWS SDK looks for credentials in the environment of its process, so this takes a process of its own. */
    private String withoutCredentials() {
        Map<String, String> environment = sandbox.environment(Map.of("HOME", folder.toString()));
        environment.keySet().removeAll(List.of("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"));
        return process(environment, "create-branch").err();
    }

    /** On a machine that has neither Java nor curl. */
    private String withoutJBang() throws IOException {
        Path tools = Files.createDirectory(folder.resolve("tools"));
        for (String tool : List.of("bash", "cat", "grep", "mkdir")) {
            Shell.copy(Shell.onPath(tool).toRealPath(), tools.resolve(tool));
        }
        return Shell.run(folder, Map.of("PATH", tools.toString(), "JAVA_HOME", "", "JBANG_DIR", folder.resolve("jbang").toString()),
                tools.resolve("bash").toString(), PROJECT.resolve(".ci/jbang").toString(), "neon-ci.java", "create-branch").err();
    }

    /** Returns a JSON text's fields without their values. */
    private static String shape(String json) {
        return shape(Cli.json(json));
    }

    private static String shape(JsonNode node) {
        if (node.isObject()) {
            return node.properties().stream().map(field -> field.getKey() + shape(field.getValue()))
                    .collect(Collectors.joining(",", "{", "}"));
        }
        return node.isArray() && !node.isEmpty() ? "[" + shape(node.get(0)) + "]" : "";
    }

    /** Splits a command line into words as a shell does, as far as the README's go. */
    private static List<String> words(String command) {
        return Pattern.compile("'([^']*)'|\"([^\"]*)\"|(\\S+)").matcher(command).results()
                .map(word -> word.group(1) != null ? word.group(1) : word.group(2) != null ? word.group(2) : word.group(3)).toList();
    }
}
