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
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The first command that a newcomer runs, through the real jbang. */
@Tag("slow")
class SandboxProgramTest {

    /** Neon's passwords begin so, and the sandbox's do. */
    private static final String PASSWORD = "npg_";

    @TempDir
    Path folder;

    @Test
    void tells_the_story_of_a_branch_and_shows_no_password() throws IOException {
        Shell.Result story = sandbox();
        assertEquals(0, story.exitCode(), story.err());
        assertEquals(List.of(
                "main has Alder Books, Birch Bikes, Cedar Cinema.",
                "feature/login has Alder Books, Birch Bikes, Cedar Cinema.",
                "feature/login has Alder Books, Birch Bikes, Cedar Cinema, Dune Diner.",
                "main has Alder Books, Birch Bikes, Cedar Cinema.",
                "feature/login has Alder Books, Birch Bikes, Cedar Cinema, Dune Diner.",
                "The Neon project is left with: production."),
                story.out().lines().filter(line -> line.contains(" has Alder") || line.contains(" is left with: ")).toList());
        assertEquals(5, story.out().lines().filter(line -> line.startsWith("$ ")).count());
        assertFalse(story.out().contains(PASSWORD) || story.err().contains(PASSWORD), "the story shows a password");

        Matcher left = Pattern.compile("gone: (\\S+)$").matcher(story.out().strip());
        assertTrue(left.find(), story.out());
        Path place = Path.of(left.group(1));
        String main = Files.readString(place.resolve("main.env"));
        String login = Files.readString(place.resolve("login.env"));
        assertTrue(main.contains(PASSWORD) && login.contains(PASSWORD));
        assertNotEquals(main, login);
        Shell.delete(place);
    }

    @Test
    void runs_one_command_in_this_folder_and_exits_as_it_did() throws IOException {
        Shell.Result created = sandbox("create-branch", "--env-file", "here.env");
        assertEquals(0, created.exitCode(), created.err());
        assertTrue(created.out().contains("br-"), created.out());
        assertTrue(Files.readString(folder.resolve("here.env")).startsWith("DATABASE_URL=\"postgresql://"));
        Shell.Result refused = sandbox("cleanup-branches", "--max-deletions", "0");
        assertEquals("Neon branches of app d1a2b3c4d5e6f7: 0 with an Amplify branch, 0 kept, 1 orphaned.\n", refused.out());
        assertEquals(1, refused.exitCode(), refused.err());
    }

    @Test
    void writes_over_no_env_file_of_the_folder_it_is_run_in() throws IOException {
        Files.writeString(folder.resolve(".env"), "DATABASE_URL=mine\n");
        Shell.Result created = sandbox("create-branch");
        assertEquals(0, created.exitCode(), created.err());
        assertTrue((created.out() + created.err()).contains(" to .env.sandbox"), created.err());
        assertEquals("DATABASE_URL=mine\n", Files.readString(folder.resolve(".env")));
        assertTrue(Files.readString(folder.resolve(".env.sandbox")).startsWith("DATABASE_URL=\"postgresql://"));
    }

    @Test
    void helps_without_starting_anything() {
        for (List<String> command : List.of(List.of("--help"), List.of("serve", "--help"), List.of("create-branch", "-h"))) {
            Shell.Result help = sandbox(command.toArray(String[]::new));
            assertEquals(0, help.exitCode(), help.err());
            assertTrue(help.out().startsWith("Usage: "), help.out());
            assertFalse(help.err().contains("Starting"), help.err());
        }
        for (List<String> command : List.of(List.of("no-such-command"), List.of("serve", "now"))) {
            Shell.Result refused = sandbox(command.toArray(String[]::new));
            assertEquals(2, refused.exitCode());
            assertTrue(refused.err().contains("Usage: ") && !refused.err().contains("Starting"), refused.err());
        }
    }

    /** Every line that serve prints is one that works, pasted into another terminal. */
    @Test
    void serves_another_terminal_with_lines_that_work() throws Exception {
        ProcessBuilder builder = new ProcessBuilder(command("serve")).directory(folder.toFile()).redirectErrorStream(true);
        builder.environment().put("JAVA_HOME", System.getProperty("java.home"));
        Process server = builder.start();
        try {
            List<String> lines = new ArrayList<>();
            BufferedReader reader = server.inputReader();
            for (String line = ""; line != null && !line.contains("Ctrl-C"); line = reader.readLine()) {
                lines.add(line.strip());
            }
            List<String> exports = lines.stream().filter(line -> line.startsWith("export ")).toList();
            assertTrue(exports.contains("export AWS_BRANCH='feature/login'"), lines::toString);
            // Whether the aws command is here or not, curl does what it would.
            List<String> served = lines.stream().filter(line -> line.contains("neon-ci.java ")).toList();
            List<String> curls = lines.stream().filter(line -> line.startsWith("curl ")).toList();
            Shell.Result result = terminal(exports, List.of(served.get(0), served.get(1), served.get(2), curls.get(0), served.get(3),
                    curls.get(1), served.get(4)));
            assertEquals(0, result.exitCode(), result.err());
            String said = result.out() + result.err();
            for (String done : List.of("Created Neon branch 'd1a2b3c4d5e6f7-feature/login' ", "Using Neon branch 'production' ",
                    "Would delete 'd1a2b3c4d5e6f7-feature/old' ", "Created Neon branch 'd1a2b3c4d5e6f7-pr-1' ",
                    "Deleted 'd1a2b3c4d5e6f7-feature/login' ", "Deleted 'd1a2b3c4d5e6f7-feature/old' ")) {
                assertTrue(said.contains(done), done + "\n" + said);
            }
        } finally {
            server.descendants().forEach(ProcessHandle::destroy);
            server.destroy();
            server.waitFor();
        }
    }

    private Shell.Result terminal(List<String> exports, List<String> lines) throws IOException {
        String script = String.join("\n", exports) + "\n" + String.join("\n", lines);
        return Shell.run(Path.of("").toAbsolutePath(), Map.of("HOME", System.getProperty("user.home")), "bash", "-ec",
                script.replace("create-branch ", "create-branch --env-file '" + folder.resolve("env") + "' "));
    }

    private Shell.Result sandbox(String... args) {
        return Shell.run(folder, Map.of("HOME", System.getProperty("user.home")), command(args).toArray(String[]::new));
    }

    private static List<String> command(String... args) {
        Path project = Path.of("").toAbsolutePath();
        List<String> command = new ArrayList<>(List.of(project.resolve(".ci/jbang").toString(), "sandbox@" + project));
        command.addAll(List.of(args));
        return command;
    }
}
