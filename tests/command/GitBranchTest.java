//SOURCES InSandbox.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Outside a build, {@code create-branch} uses the current Git branch. A build must name its branch. */
class GitBranchTest extends InSandbox {

    private final Map<String, String> laptop = new HashMap<>();

    @BeforeEach
    void start() {
        laptop.putAll(sandbox.environment(Map.of("PATH", System.getenv("PATH"), "LC_ALL", "C.UTF-8", "GIT_CONFIG_GLOBAL", "/dev/null",
                "GIT_AUTHOR_NAME", "a", "GIT_AUTHOR_EMAIL", "a@example.com",
                "GIT_COMMITTER_NAME", "a", "GIT_COMMITTER_EMAIL", "a@example.com")));
        laptop.keySet().removeAll(List.of("AWS_BRANCH", "AWS_JOB_ID"));
    }

    @Test
    void uses_and_prints_the_current_branch() {
        git("init", "-q", "-b", "feature/übung");
        Shell.Result result = process(laptop, "create-branch");
        assertTrue(result.out().matches("(?s)[^\n]*'feature/übung'[^\n]*\nCreated .*"), result.out() + result.err());
        assertTrue(sandbox.neon().hasBranch(SandboxAws.APP_ID + "-feature/übung"));
        assertTrue(process(laptop, "create-branch", "--branch-name", "local/me").out().startsWith("Created "));
    }

    @Test
    void without_a_current_branch_one_must_be_named() {
        assertRefused(process(laptop, "create-branch"));
        git("init", "-q", "-b", "main");
        git("commit", "-q", "--allow-empty", "-m", "first");
        git("checkout", "-q", "--detach");
        assertRefused(process(laptop, "create-branch"));
        laptop.put("PATH", "/nowhere");
        assertRefused(process(laptop, "create-branch"));
    }

    @Test
    void main_must_be_named_because_it_is_usually_production() {
        git("init", "-q", "-b", "main");
        Shell.Result result = process(laptop, "create-branch");
        assertRefused(result);
        assertTrue(result.err().contains("local/NAME"), result.err());
    }

    @Test
    void an_error_of_git_is_printed() {
        git("init", "-q", "-b", "feature");
        laptop.put("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1");
        Shell.Result result = process(laptop, "create-branch");
        assertRefused(result);
        assertTrue(result.err().contains("dubious ownership"), result.err());
    }

    @ParameterizedTest
    @ValueSource(strings = {"CI", "AWS_JOB_ID"})
    void a_build_never_guesses_its_branch(String variable) {
        git("init", "-q", "-b", "feature");
        laptop.put(variable, "1");
        assertRefused(process(laptop, "create-branch"));
    }

    private void assertRefused(Shell.Result result) {
        assertTrue(result.err().startsWith("neon-ci: ") && result.err().contains("--branch-name"), result.err());
        assertEquals(2, result.exitCode());
        assertEquals(List.of(), changes());
    }

    private void git(String... args) {
        List<String> all = new ArrayList<>(List.of("/usr/bin/env", "git"));
        all.addAll(List.of(args));
        Shell.Result result = Shell.run(folder, laptop, all.toArray(String[]::new));
        assertEquals(0, result.exitCode(), result.err());
    }
}
