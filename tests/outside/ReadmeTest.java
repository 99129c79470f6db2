//DEPS org.yaml:snakeyaml:2.7
//SOURCES ../command/InSandbox.java
//SOURCES ../sandbox/Certificate.java
//SOURCES Npm.java
//SOURCES Readme.java

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.yaml.snakeyaml.Yaml;
import picocli.CommandLine;

/** Compares the README with the program: its command lines, options, output and error messages. */
class ReadmeTest extends InSandbox {

    private static final Pattern COMMAND =
            Pattern.compile("(?:\\bneon-ci(?:\\.java|@\\S+)? |`)((?:create-branch|cleanup-branches)\\b[^`\\n]*)");
    private static final Path PROJECT = Path.of("").toAbsolutePath();

    @Test
    void begins_with_a_builds_real_log() {
        List<String> shown = commands(Readme.block("console", "cleanup-branches"));
        assertEquals(3, shown.size());
        assertPrints(shown.get(0), Map.of("AWS_BRANCH", "feature/login"));
        assertPrints(shown.get(1), Map.of("AWS_BRANCH", "main"));
        sandbox.neon().add(SandboxAws.APP_ID + "-feature/old");
        assertPrints(shown.get(2), Map.of("AWS_BRANCH", "main"));
    }

    @Test
    void has_a_dry_run_that_needs_only_the_api_key_in_a_variable() {
        Map<String, String> changes = new HashMap<>(Map.of("NEON_API_KEY", sandbox.apiKey()));
        List.of("AWS_APP_ID", "AWS_BRANCH", "AWS_JOB_ID", "AWS_REGION", "NEON_PROJECT_ID", "NEON_API_KEY_PARAM")
                .forEach(name -> changes.put(name, ""));
        assertPrints(Readme.block("bash", "--dry-run") + Readme.quotedWith("Would create "), changes);
    }

    /** Splits a block into its commands, each with its output. */
    private static List<String> commands(String block) {
        return Stream.of(block.split("(?m)^\\$ ")).filter(text -> !text.isBlank()).toList();
    }

    /** Runs the command, and expects the output that the README shows, except for ids and times. */
    private void assertPrints(String shown, Map<String, String> changes) {
        String project = shown.replace("quiet-river-12345678", SandboxNeon.PROJECT_ID);
        List<String> words = new ArrayList<>(words(project.lines().findFirst().orElseThrow().replaceFirst(".*neon-ci.java ", "")));
        if (words.get(0).equals("create-branch")) {
            words.addAll(List.of("--env-file", envFile.toString()));
        }
        Cli.Result result = Cli.run(sandbox, changes, words.toArray(String[]::new));
        assertEquals(withoutIds(project.replaceFirst(".*\n", "")), withoutIds(result.out().replace(folder + "/", "") + result.err()));
    }

    private static String withoutIds(String output) {
        return output.replaceAll("br-[a-z0-9-]+", "br-").replaceAll("\\d{4}-\\d\\d-\\d\\dT[\\d:]+Z", "a time").strip();
    }

    @Test
    void has_only_command_lines_that_the_program_accepts() {
        List<String> commands = COMMAND.matcher(Readme.TEXT).results()
                .map(command -> command.group(1).replaceFirst("\\s+(\\|\\||&&|>|\\|).*", "")).distinct().toList();
        assertTrue(commands.size() >= 12, commands::toString);
        commands.forEach(command -> assertDoesNotThrow(
                () -> NeonCi.commandLine(Map.of()).parseArgs(words(command).toArray(String[]::new)), command));
    }

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
        commands.forEach((name, command) -> command.getCommandSpec().options().stream()
                .filter(option -> !option.hidden() && !option.usageHelp() && !option.versionHelp()).forEach(option -> {
                    boolean isShared = commands.values().stream()
                            .allMatch(other -> other.getCommandSpec().findOption(option.longestName()) != null);
                    real.add(option(isShared ? "Both commands" : name, List.of(option.names()),
                            SharedOptions.VARIABLES.getOrDefault(option.longestName(), List.of()),
                            Stream.ofNullable(option.defaultValue()).toList()));
                }));
        assertEquals(String.join("\n", real), String.join("\n", listed));
    }

    private static String option(String group, List<String> names, List<String> variables, List<String> defaultValue) {
        return group + " " + new TreeSet<>(names) + " " + variables + " " + defaultValue;
    }

    /** Runs the set-up with an aws command that prints its arguments, with the content in place of the name of a file. */
    @Test
    void sets_up_the_permissions_that_the_program_uses_and_stores_the_key_without_showing_it() throws IOException {
        Path aws = Files.writeString(folder.resolve("aws"), """
                #!/usr/bin/env bash
                if [ "$1" = sts ]; then echo 123456789012; exit; fi
                for word; do [[ $word != file://* ]] || word="[$(tr -d '\\n' <"${word#file://}")]"; printf '%s ' "$word"; done
                echo
                """);
        assertTrue(aws.toFile().setExecutable(true));
        Shell.Result result = Shell.run(folder, Map.of("PATH", folder + ":" + System.getenv("PATH")), "bash", "-ec",
                "exec <<<'typed in'\n" + Readme.block("bash", "put-parameter"));
        assertEquals(0, result.exitCode(), result.err());
        List<String> calls = result.out().lines().toList();
        assertEquals(List.of("iam create-role", "amplify update-app", "iam put-role-policy", "ssm put-parameter"),
                calls.stream().map(call -> call.replaceFirst("^(\\S+ \\S+).*", "$1")).toList());
        assertEquals("ssm put-parameter --region eu-central-1 --type SecureString --name /neon/api-key --value [typed in] ", calls.get(3));
        assertEquals("sts:AssumeRole", document(calls.get(0)).path("Statement").path(0).path("Action").asText());
        List<String> granted = document(calls.get(2)).path("Statement").findValuesAsText("Action");
        String resources = document(calls.get(2)).findValues("Resource").toString();
        assertEquals("[\"arn:aws:ssm:eu-central-1:123456789012:parameter/neon/api-key\", [\"arn:aws:amplify:eu-central-1:123456789012:apps/"
                + "d1a2b3c4d5e6f7\",\"arn:aws:amplify:eu-central-1:123456789012:apps/d1a2b3c4d5e6f7/branches/*\"]]", resources);

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

    private static JsonNode document(String call) {
        return Cli.json(call.substring(call.indexOf('[') + 1, call.lastIndexOf(']')));
    }

    @Test
    void shows_the_fields_of_json_output() {
        sandbox.neon().add(SandboxAws.APP_ID + "-old");
        String printed = create("--output", "json").out() + cleanUp("--output", "json", "--grace", "3d").out();
        assertEquals(shapes(printed), shapes(Readme.block("json", "env_files")));
    }

    private static List<String> shapes(String lines) {
        return lines.lines().map(line -> shape(Cli.json(line))).toList();
    }

    @Test
    void has_yaml_and_json_that_can_be_copied() {
        Readme.blocks("yaml").forEach(block -> assertDoesNotThrow(() -> new Yaml().load(block), block));
        for (String json : Readme.quoted(Readme.TEXT).stream().filter(code -> code.matches("\\{\".*|\"\\w+\": .*")).toList()) {
            Cli.json(json.startsWith("{") ? json : "{" + json + "}");
        }
    }

    @Test
    void has_only_links_that_lead_somewhere() {
        Set<String> anchors = Pattern.compile("(?m)^#+ (.*)").matcher(Readme.TEXT).results()
                .map(heading -> "#" + heading.group(1).toLowerCase(Locale.ROOT).replace(' ', '-').replaceAll("[^a-z0-9_-]", ""))
                .collect(Collectors.toSet());
        Set<String> broken = Pattern.compile("]\\(([^)]*)\\)").matcher(Readme.TEXT).results().map(link -> link.group(1))
                .filter(link -> link.startsWith("#") ? !anchors.contains(link)
                        : !link.startsWith("https://") && !Files.exists(PROJECT.resolve(link.replaceFirst("#.*", ""))))
                .collect(Collectors.toSet());
        assertEquals(Set.of(), broken);
    }

    @Test
    void has_a_table_of_every_file_in_contributing() throws IOException {
        List<String> named = Readme.quoted(Files.readString(Path.of(".github/CONTRIBUTING.md")));
        try (Stream<Path> files = Files.list(Path.of("lib"))) {
            assertEquals(Set.of(), files.map(Path::toString).filter(file -> !named.contains(file)).collect(Collectors.toSet()));
        }
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
        Shell.Result result = Shell.run(folder, environment, "bash", "-ec", Readme.quotedWith("npx neonctl")
                .replace("PROJECT_ID", SandboxNeon.PROJECT_ID).replace("APP_ID", SandboxAws.APP_ID));
        assertEquals(0, result.exitCode(), result.err());
        assertEquals(List.of("production", "d9another-main"), sandbox.neon().names());
    }

    /** Neon's stand-in has a certificate of company.pem. */
    @Test
    void makes_java_trust_a_networks_own_certificate_authority() throws Exception {
        HttpsServer neon = HttpsServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        neon.setHttpsConfigurator(new HttpsConfigurator(Certificate.make(folder)));
        neon.createContext("/", exchange -> {
            exchange.sendResponseHeaders(401, -1);
            exchange.close();
        });
        neon.start();
        Map<String, String> variables = Map.of("AWS_APP_ID", SandboxAws.APP_ID, "AWS_BRANCH", "main", "NEON_PROJECT_ID", "p",
                "NEON_API_KEY", "napi_x", "NEON_API_HOST", "https://localhost:" + neon.getAddress().getPort(),
                "PATH", Path.of(System.getProperty("java.home"), "bin") + ":" + System.getenv("PATH"));
        String command = Shell.quoted(Shell.java("create-branch"));
        Shell.Result result = Shell.run(folder, variables, "bash", "-c", command + "\n" + Readme.quotedWith("keytool") + "\n"
                + Readme.quotedWith("export JAVA_TOOL_OPTIONS") + "\n" + command);
        neon.stop(0);
        assertTrue(result.err().matches("(?s).*its certificate is not trusted.*Neon answered 401.*"), result.err());
    }

    @Test
    @Tag("slow")
    void has_masking_rules_that_work_in_the_sandbox() throws Exception {
        String rules = Files.writeString(folder.resolve("rules.json"), Readme.block("json", "masking_function")).toString();
        try (Sandbox real = Sandbox.start()) {
            Cli.Result result = Cli.create(real, envFile, "--masking-rules", rules);
            assertEquals(0, result.exitCode(), result.err());
            assertEquals(List.of("A***", "B***", "C***"), SandboxPostgres.query(real.neon().connectionString(Cli.BRANCH),
                    "select name from customers order by id"));
        }
    }

    /** One situation for each row of the table, in its order. */
    @Test
    void explains_errors_that_are_really_printed() throws Exception {
        Consumer<Sandbox> nothing = sandbox -> { };
        List<String> outputs = List.of(
                trouble(nothing, Map.of("DATABASE_URL", "postgresql://elsewhere")),
                withOverridingFile(),
                trouble(sandbox -> sandbox.aws().deny("ssm:GetParameter"), Map.of()),
                withoutCredentials(),
                trouble(sandbox -> sandbox.neon().branchesLimit = 1, Map.of()),
                trouble(nothing, Map.of("NEON_API_KEY_PARAM", "napi_" + "x".repeat(64))),
                withoutLib(),
                withoutMavenCentral());
        List<List<String>> rows = Readme.rows("## Troubleshooting");
        assertEquals(outputs.size(), rows.size());
        for (int i = 0; i < rows.size(); i++) {
            String text = Readme.quoted(rows.get(i).get(0)).get(0);
            assertTrue(Pattern.compile("\\Q" + text.replace("…", "\\E.+\\Q") + "\\E").matcher(outputs.get(i)).find(),
                    text + "\n" + outputs.get(i));
        }
    }

    private String trouble(Consumer<Sandbox> situation, Map<String, String> changes) {
        try (Sandbox another = Sandbox.withoutPostgres()) {
            situation.accept(another);
            return Cli.create(another, changes, envFile).err();
        }
    }

    private String withOverridingFile() throws IOException {
        Path file = Files.writeString(folder.resolve(".env.production"), "DATABASE_URL=postgresql://elsewhere\n");
        String output = trouble(sandbox -> { }, Map.of());
        Files.delete(file);
        return output;
    }

    /** The AWS SDK reads its process's environment, so this needs a process. */
    private String withoutCredentials() {
        Map<String, String> environment = sandbox.environment(Map.of("HOME", folder.toString()));
        environment.keySet().removeAll(List.of("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"));
        return process(environment, "create-branch").err();
    }

    private String withoutLib() {
        Shell.copy(PROJECT.resolve("neon-ci.java"), folder.resolve("copy/neon-ci.java"));
        return jbang(Map.of(), folder.resolve("copy/neon-ci.java"));
    }

    private String withoutMavenCentral() throws IOException {
        Files.createDirectory(folder.resolve(".m2"));
        Files.writeString(folder.resolve(".m2/settings.xml"), """
                <settings><mirrors><mirror><id>x</id><mirrorOf>*</mirrorOf><url>http://127.0.0.1:9</url></mirror></mirrors></settings>
                """);
        return jbang(Map.of("JBANG_JAVA_OPTIONS", "-Duser.home=" + folder, "JBANG_REPO", folder.resolve("empty").toString(),
                "JBANG_CACHE_DIR", folder.resolve("cache").toString()), PROJECT.resolve("neon-ci.java"));
    }

    private String jbang(Map<String, String> changes, Path script) {
        Map<String, String> environment = new HashMap<>(Map.of("HOME", System.getProperty("user.home")));
        environment.putAll(changes);
        return Shell.run(folder, environment, PROJECT.resolve(".ci/jbang").toString(), script.toString(), "create-branch").err();
    }

    /** Returns the names of a JSON text's fields. */
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
