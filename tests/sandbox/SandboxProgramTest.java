//SOURCES Shell.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

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
                "feature/login has Alder Books, Birch Bikes, Cedar Cinema.",
                "feature/login has Alder Books, Birch Bikes, Cedar Cinema, Dune Diner.",
                "production has Alder Books, Birch Bikes, Cedar Cinema.",
                "feature/login has Alder Books, Birch Bikes, Cedar Cinema, Dune Diner.",
                "The Neon project is left with: production."),
                story.out().lines().filter(line -> line.contains(" has Alder") || line.contains(" is left with: ")).toList());
        assertEquals(4, story.out().lines().filter(line -> line.startsWith("$ ")).count());
        assertFalse(story.out().contains(PASSWORD) || story.err().contains(PASSWORD), "the story shows a password");

        Matcher envFile = Pattern.compile("(\\S+\\.env)$").matcher(story.out().strip());
        assertTrue(envFile.find(), story.out());
        Path file = Path.of(envFile.group(1));
        assertTrue(Files.readString(file).contains(PASSWORD));
        Files.delete(file);
        Files.delete(file.getParent());
    }

    @Test
    void runs_one_command_in_this_folder_and_exits_as_it_did() throws IOException {
        Shell.Result created = sandbox("create-branch", "--env-file", "here.env");
        assertTrue(created.out().matches("br-\\S+\n"), created.out());
        assertEquals(0, created.exitCode());
        assertTrue(Files.readString(folder.resolve("here.env")).startsWith("DATABASE_URL=\"postgresql://"));
        Shell.Result refused = sandbox("cleanup-branches", "--max-deletions", "0");
        assertEquals("", refused.out());
        assertEquals(1, refused.exitCode(), refused.err());
        assertEquals(2, sandbox("no-such-command").exitCode());
    }

    private Shell.Result sandbox(String... args) {
        Path project = Path.of("").toAbsolutePath();
        List<String> command = new ArrayList<>(List.of(project.resolve(".ci/jbang").toString(), "sandbox@" + project));
        command.addAll(List.of(args));
        return Shell.run(folder, Map.of("HOME", System.getProperty("user.home")), command.toArray(String[]::new));
    }
}
