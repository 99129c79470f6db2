//SOURCES Cli.java
//SOURCES ../sandbox/Shell.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** On a laptop the Git branch that is checked out is meant; a build must say its branch. */
class GitBranchTest {

    @TempDir
    Path folder;

    private Sandbox sandbox;
    private final Map<String, String> laptop = new HashMap<>();

    @BeforeEach
    void start() {
        sandbox = Sandbox.withoutPostgres();
        laptop.putAll(sandbox.environment());
        laptop.putAll(Map.of("PATH", System.getenv("PATH"), "LC_ALL", "C.UTF-8", "GIT_CONFIG_GLOBAL", "/dev/null",
                "GIT_AUTHOR_NAME", "a", "GIT_AUTHOR_EMAIL", "a@example.com", "GIT_COMMITTER_NAME", "a", "GIT_COMMITTER_EMAIL", "a@example.com"));
        laptop.keySet().removeAll(List.of("AWS_BRANCH", "AWS_JOB_ID"));
    }

    @AfterEach
    void stop() {
        sandbox.close();
    }

    @Test
    void the_branch_that_is_checked_out_is_meant_and_named() {
        git("init", "-q", "-b", "feature/übung");
        Shell.Result result = create(laptop);
        assertTrue(result.out().startsWith("Taking the Git branch that is checked out, 'feature/übung'.\nCreated "), result.out() + result.err());
        assertTrue(sandbox.neon().hasBranch(SandboxAws.APP_ID + "-feature/übung"));
        assertTrue(create(laptop, "--branch-name", "local/me").out().startsWith("Created "));
    }

    @Test
    void without_a_branch_that_is_checked_out_one_has_to_be_named() {
        assertRefused(create(laptop));
        git("init", "-q", "-b", "main");
        git("commit", "-q", "--allow-empty", "-m", "first");
        git("checkout", "-q", "--detach");
        assertRefused(create(laptop));
        laptop.put("PATH", "/nowhere");
        assertRefused(create(laptop));
    }

    @ParameterizedTest
    @ValueSource(strings = {"CI", "AWS_JOB_ID"})
    void a_build_never_guesses_its_branch(String variable) {
        git("init", "-q", "-b", "main");
        laptop.put(variable, "1");
        assertRefused(create(laptop));
    }

    private void assertRefused(Shell.Result result) {
        assertEquals("neon-ci: Missing required option '--branch-name' (or the variable AWS_BRANCH). See 'neon-ci create-branch --help'.\n",
                result.err());
        assertEquals(2, result.exitCode());
        assertFalse(sandbox.neon().branches().size() > 1);
    }

    private Shell.Result create(Map<String, String> environment, String... more) {
        List<String> all = new ArrayList<>(List.of("create-branch"));
        all.addAll(List.of(more));
        Shell.Result result = Shell.run(folder, environment, Shell.java(all.toArray(String[]::new)));
        Cli.assertNoSecret(sandbox.secrets(), result.out(), result.err());
        return result;
    }

    private void git(String... args) {
        List<String> all = new ArrayList<>(List.of("/usr/bin/env", "git"));
        all.addAll(List.of(args));
        Shell.Result result = Shell.run(folder, laptop, all.toArray(String[]::new));
        assertEquals(0, result.exitCode(), result.err());
    }
}
