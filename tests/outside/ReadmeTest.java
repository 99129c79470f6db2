//SOURCES ../command/Cli.java
//SOURCES ../sandbox/Shell.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
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
import java.util.function.Consumer;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/** Holds the README to the truth: its command lines, its help, its output and its error texts are those of the program. */
class ReadmeTest {

    private static final Pattern BLOCK = Pattern.compile("(?ms)^```(\\w*)\n(.*?)^```$");
    private static final Pattern COMMAND = Pattern.compile("\\bneon-ci(?:\\.java|\\.jar|@\\S+)? ((?:create|cleanup)-\\S+[^`\\n]*)");

    @TempDir
    Path folder;

    private final String readme = read();

    @Test
    void shows_the_real_help() {
        List<String> helps = consoles("--help");
        assertEquals(2, helps.size());
        for (String help : helps) {
            String command = help.lines().findFirst().orElseThrow().replaceAll("^\\$ neon-ci (\\S+) --help$", "$1");
            try (Sandbox sandbox = Sandbox.withoutPostgres()) {
                assertEquals("$ neon-ci " + command + " --help\n" + Cli.run(sandbox, command, "--help").out(), help);
            }
        }
    }

    @Test
    void begins_with_what_the_log_really_says() {
        try (Sandbox sandbox = Sandbox.withoutPostgres()) {
            assertEquals(console("jbang neon-ci.java create-branch"), anonymous(Cli.create(sandbox, folder.resolve(".env")).out(),
                    "br-aged-salad-sz9lwvwj"));
            sandbox.neon().add(SandboxAws.APP_ID + "-feature/old");
            assertEquals(console("jbang neon-ci.java cleanup-branches"), anonymous(Cli.cleanUp(sandbox).out(),
                    "br-late-mud-q7x2k0fd"));
        }
    }

    @TestFactory
    Stream<DynamicTest> has_only_command_lines_that_the_program_takes() {
        List<String> commands = new ArrayList<>();
        Matcher matcher = COMMAND.matcher(readme.replaceAll("(?m)^Usage: .*", ""));
        while (matcher.find()) {
            commands.add(matcher.group(1).replaceFirst("\\s+(#|\\|\\||&&|>|\\|).*", "").strip());
        }
        assertTrue(commands.size() >= 6, commands::toString);
        return commands.stream().distinct().map(command -> DynamicTest.dynamicTest(command,
                () -> NeonCi.commandLine(Map.of()).parseArgs(words(command).toArray(String[]::new))));
    }

    @Test
    void asks_for_the_permissions_that_the_program_uses_and_no_other() {
        List<String> granted = new ArrayList<>();
        for (JsonNode statement : Cli.json(block("json", "Statement")).path("Statement")) {
            granted.add(statement.path("Action").asText());
        }
        try (Sandbox sandbox = Sandbox.withoutPostgres()) {
            Cli.create(sandbox, folder.resolve(".env"));
            Cli.cleanUp(sandbox);
            Set<String> used = new LinkedHashSet<>();
            for (Exchange exchange : sandbox.exchanges()) {
                if (exchange.path().startsWith("/ssm")) {
                    used.add(exchange.requestHeaders().get("x-amz-target").replace("AmazonSSM.", "ssm:"));
                } else if (exchange.path().startsWith("/amplify/")) {
                    used.add(exchange.method().equals("GET") && exchange.path().endsWith("/branches") ? "amplify:ListBranches" : exchange.toString());
                }
            }
            assertEquals(granted, List.copyOf(used));
        }
    }

    @Test
    void shows_the_fields_that_json_output_has() {
        try (Sandbox sandbox = Sandbox.withoutPostgres()) {
            sandbox.neon().add(SandboxAws.APP_ID + "-old");
            String created = Cli.create(sandbox, folder.resolve(".env"), "--output", "json").out();
            String cleaned = Cli.cleanUp(sandbox, "--output", "json").out();
            assertEquals(shape(Cli.json(created)), shape(Cli.json(block("json", "env_files"))));
            assertEquals(shape(Cli.json(cleaned)), shape(Cli.json(block("json", "deleted"))));
        }
    }

    @Test
    void names_every_file_of_the_program() throws IOException {
        try (Stream<Path> files = Files.list(Path.of("lib"))) {
            files.forEach(file -> assertTrue(readme.contains("\n" + file + " "), file.toString()));
        }
    }

    /** Each row of the table of troubles is what one of these situations prints; each situation has its row. */
    @TestFactory
    Stream<DynamicTest> explains_errors_in_the_words_they_are_printed_in() {
        List<String> texts = Pattern.compile("(?m)^\\| `(.+?)` \\|").matcher(section("## Troubleshooting")).results()
                .map(row -> row.group(1)).toList();
        List<String> outputs = troubles();
        assertEquals(outputs.size(), texts.size());
        return Stream.iterate(0, i -> i < texts.size(), i -> i + 1).map(i -> DynamicTest.dynamicTest(texts.get(i), () -> {
            String pattern = Arrays.stream(texts.get(i).split("…", -1)).map(Pattern::quote).reduce((a, b) -> a + ".+" + b).orElseThrow();
            assertTrue(Pattern.compile(pattern).matcher(outputs.get(i)).find(), outputs.get(i));
        }));
    }

    /** Returns what the program says in each trouble, in the order of the README's table. */
    private List<String> troubles() {
        return List.of(
                trouble(sandbox -> { }, Map.of("NEON_API_KEY_PARAM", ""), "create-branch"),
                trouble(sandbox -> { }, Map.of("NEON_PROJECT_ID", ""), "create-branch"),
                trouble(sandbox -> { }, Map.of("NEON_API_KEY_PARAM", "/nowhere"), "create-branch"),
                trouble(sandbox -> sandbox.aws().deny("ssm:GetParameter"), Map.of(), "create-branch"),
                trouble(sandbox -> sandbox.aws().deny("amplify:ListBranches"), Map.of(), "cleanup-branches"),
                withoutCredentials(),
                trouble(sandbox -> { }, Map.of("NEON_API_KEY_PARAM", "", "NEON_API_KEY", "wrong"), "create-branch"),
                trouble(sandbox -> { }, Map.of("NEON_PROJECT_ID", "another"), "create-branch"),
                trouble(sandbox -> sandbox.neon().branchesLimit(1), Map.of(), "create-branch"),
                trouble(sandbox -> sandbox.neon().roles("production", "alice", "bob"), Map.of(), "create-branch"),
                trouble(sandbox -> sandbox.fail("POST", "/branches$", 1, Fault.status(423, "{}", Map.of("Retry-After", "2"))), Map.of(),
                        "create-branch"),
                trouble(sandbox -> sandbox.neon().operationsTake(Duration.ofHours(1)), Map.of(), "create-branch", "--wait", "3s"),
                trouble(sandbox -> Stream.iterate(0, i -> i < 21, i -> i + 1)
                        .forEach(i -> sandbox.neon().add(SandboxAws.APP_ID + "-old-" + i)), Map.of(), "cleanup-branches"),
                trouble(sandbox -> sandbox.aws().removeBranches(), Map.of(), "cleanup-branches"));
    }

    private String trouble(Consumer<Sandbox> situation, Map<String, String> changes, String... args) {
        try (Sandbox sandbox = Sandbox.withoutPostgres()) {
            situation.accept(sandbox);
            String[] more = Arrays.copyOfRange(args, 1, args.length);
            Cli.Result result = args[0].equals("create-branch") ? Cli.create(sandbox, changes, folder.resolve(".env"), more)
                    : Cli.run(sandbox, changes, args);
            return result.err();
        }
    }

    /** The AWS SDK looks for credentials in the environment of its process, so this takes a process of its own. */
    private String withoutCredentials() {
        try (Sandbox sandbox = Sandbox.withoutPostgres()) {
            Map<String, String> environment = new HashMap<>(sandbox.environment());
            environment.keySet().removeAll(List.of("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"));
            environment.put("HOME", folder.toString());
            return Shell.run(folder, environment, Shell.java("create-branch")).err();
        }
    }

    private String section(String heading) {
        int begin = readme.indexOf("\n" + heading + "\n");
        assertFalse(begin < 0, "no " + heading);
        int end = readme.indexOf("\n## ", begin + 1);
        return readme.substring(begin, end < 0 ? readme.length() : end);
    }

    /** Returns the first block of this language that has this text in it. */
    private String block(String language, String text) {
        return BLOCK.matcher(readme).results().filter(block -> block.group(1).equals(language) && block.group(2).contains(text))
                .map(block -> block.group(2)).findFirst().orElseThrow();
    }

    /** Returns a JSON text's fields without their values. */
    private static String shape(JsonNode node) {
        if (node.isObject()) {
            return node.properties().stream().map(field -> field.getKey() + shape(field.getValue())).collect(Collectors.joining(",", "{", "}"));
        }
        return node.isArray() && !node.isEmpty() ? "[" + shape(node.get(0)) + "]" : "";
    }

    /** Returns what stands below this command in the block that shows it. */
    private String console(String command) {
        return consoles(command).stream().findFirst().orElseThrow().replaceFirst("^.*\n", "");
    }

    private List<String> consoles(String command) {
        return BLOCK.matcher(readme).results().filter(block -> block.group(1).equals("console"))
                .map(block -> block.group(2)).filter(text -> text.startsWith("$ ") && text.lines().findFirst().orElse("").contains(command))
                .toList();
    }

    /** Puts the README's example in the place of what differs from run to run. */
    private String anonymous(String output, String id) {
        return output.replace(folder + "/", "").replaceAll("br-[a-z0-9-]+", id);
    }

    /** Splits a command line into words as a shell does, as far as the README's go. */
    private static List<String> words(String command) {
        return Pattern.compile("'([^']*)'|\"([^\"]*)\"|(\\S+)").matcher(command).results()
                .map(word -> word.group(1) != null ? word.group(1) : word.group(2) != null ? word.group(2) : word.group(3)).toList();
    }

    private static String read() {
        try {
            return Files.readString(Path.of("README.md"));
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }
}
