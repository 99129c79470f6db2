//SOURCES Shell.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The sandbox as a program, through jbang. */
@Tag("slow")
class SandboxProgramTest {

    /** Neon's passwords begin with this, and so do the sandbox's. */
    private static final String PASSWORD = "npg_";
    private static final Path PROJECT = Path.of("").toAbsolutePath();

    @TempDir
    Path folder;

    @Test
    void tells_the_story_of_a_branch_and_shows_no_password() throws IOException {
        Shell.Result story = sandbox();
        assertEquals(0, story.exitCode(), story.err());
        assertEquals("""
                Customers in the database of main: Alder Books, Birch Bikes, Cedar Cinema.
                Customers in the database of feature/login: Alder Books, Birch Bikes, Cedar Cinema.
                Customers in the database of feature/login: Alder Books, Birch Bikes, Cedar Cinema, Dune Diner.
                Customers in the database of main: Alder Books, Birch Bikes, Cedar Cinema.
                Customers in the database of feature/login: Alder Books, Birch Bikes, Cedar Cinema, Dune Diner.
                The Neon project has these branches left: production.
                """, story.out().replaceAll("(?m)^(?!Customers in|The Neon project).*\n", ""));
        assertEquals(5, story.out().lines().filter(line -> line.startsWith("$ ")).count());
        assertFalse(story.out().contains(PASSWORD) || story.err().contains(PASSWORD), "the story shows a password");

        Path builds = Path.of(story.out().replaceFirst("(?s).* are in (\\S+)\\. .*", "$1"));
        String main = Files.readString(builds.resolve("main/.env"));
        String login = Files.readString(builds.resolve("feature-login/.env"));
        assertTrue(main.contains(PASSWORD) && login.contains(PASSWORD));
        assertNotEquals(main, login);
        Shell.delete(builds);
    }

    @Test
    void runs_one_command_with_its_exit_code_and_without_writing_to_env() throws IOException {
        Files.writeString(folder.resolve(".env"), "DATABASE_URL=mine\n");
        Shell.Result created = sandbox("create-branch");
        assertEquals(0, created.exitCode(), created.err());
        assertTrue(Files.readString(folder.resolve(".env.sandbox")).startsWith("DATABASE_URL=\"postgresql://"));
        assertEquals("DATABASE_URL=mine\n", Files.readString(folder.resolve(".env")));
        Shell.Result refused = sandbox("cleanup-branches", "--max-deletions", "0");
        assertTrue(refused.out().endsWith(" 1 orphaned.\n"), refused.out());
        assertEquals(1, refused.exitCode(), refused.err());
    }

    @Test
    void prints_help_without_starting_anything() {
        for (String command : List.of("--help", "serve --help", "create-branch -h", "no-such-command", "serve now")) {
            Shell.Result help = sandbox(command.split(" "));
            boolean isValid = command.contains("-h");
            assertEquals(isValid ? 0 : 2, help.exitCode(), help.err());
            assertTrue((isValid ? help.out() : help.err()).contains("Usage: "), command);
            assertFalse(help.err().contains("Starting"), help.err());
        }
    }

    @Test
    void serves_another_terminal_with_lines_that_work() throws Exception {
        ProcessBuilder builder = new ProcessBuilder(command("serve")).directory(folder.toFile()).redirectErrorStream(true);
        builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
        Process server = builder.start();
        try {
            List<String> script = new ArrayList<>();
            BufferedReader reader = server.inputReader();
            for (String line = ""; line != null && !line.contains("Ctrl-C"); line = reader.readLine()) {
                if (line.matches("export .*| +(curl|AWS_BRANCH|.ci/jbang).*")) {
                    script.add(line.strip().replace("create-branch ", "create-branch --env-file '" + folder.resolve("env") + "' "));
                }
            }
            Shell.Result result = Shell.run(PROJECT, Map.of("HOME", System.getProperty("user.home")), "bash", "-ec",
                    String.join("\n", script));
            assertEquals(0, result.exitCode(), result.err());
            String output = result.out() + result.err();
            for (String expected : List.of("Created Neon branch 'd1a2b3c4d5e6f7-feature/login' ", "Using Neon branch 'production' ",
                    "Would delete 'd1a2b3c4d5e6f7-feature/old' ", "Created Neon branch 'd1a2b3c4d5e6f7-pr-1' ",
                    "Deleted 'd1a2b3c4d5e6f7-feature/login' ", "Deleted 'd1a2b3c4d5e6f7-feature/old' ")) {
                assertTrue(output.contains(expected), expected + "\n" + output);
            }
        } finally {
            server.descendants().forEach(ProcessHandle::destroy);
            server.destroy();
            server.waitFor();
        }
    }

    private Shell.Result sandbox(String... args) {
        return Shell.run(folder, Map.of("HOME", System.getProperty("user.home")), command(args).toArray(String[]::new));
    }

    private static List<String> command(String... args) {
        List<String> command = new ArrayList<>(List.of(PROJECT.resolve(".ci/jbang").toString(), "sandbox@" + PROJECT));
        command.addAll(List.of(args));
        return command;
    }
}
