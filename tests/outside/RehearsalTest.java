//SOURCES Rehearsal.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.MethodOrderer;
import org.junit.jupiter.api.Order;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.api.TestMethodOrder;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The life of an Amplify app, build by build, by amplify.yml and by the buildspecs of the README. */
@Tag("slow")
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
@TestMethodOrder(MethodOrderer.OrderAnnotation.class)
class RehearsalTest {

    private static final String APP = SandboxAws.APP_ID;

    @TempDir
    static Path folder;

    private Sandbox sandbox;
    private Rehearsal rehearsal;
    private String amplifyYml;

    @BeforeAll
    void start() throws IOException {
        sandbox = Sandbox.withoutPostgres();
        rehearsal = new Rehearsal(folder, sandbox);
        amplifyYml = Files.readString(Path.of("amplify.yml"));
    }

    @AfterAll
    void stop() {
        sandbox.close();
    }

    @Test
    @Order(1)
    void the_first_build_of_main_fetches_what_it_needs_and_deploys() throws IOException {
        Rehearsal.Build build = rehearsal.build(amplifyYml, "main", Map.of());
        assertTrue(build.isDeployed(), build.log());
        assertTrue(build.calls().contains("curl -fsSL https://sh.jbang.dev"), build.calls()::toString);
        assertTrue(build.calls().contains("a JDK"), build.calls()::toString);
        assertTrue(build.calls().contains("npx ampx pipeline-deploy --branch main --app-id " + APP), build.calls()::toString);
        assertTrue(sandbox.neon().hasBranch(APP + "-main"));
        assertTrue(Files.readString(build.folder().resolve(".amplify-hosting/.env")).startsWith("DATABASE_URL=\"postgresql://"));
    }

    @Test
    @Order(2)
    void a_build_with_the_cache_fetches_nothing() throws IOException {
        Rehearsal.Build build = rehearsal.build(amplifyYml, "main", Map.of());
        assertTrue(build.isDeployed(), build.log());
        assertEquals(List.of(), build.calls().stream().filter(call -> call.startsWith("curl") || call.equals("a JDK")).toList());
        assertFalse(build.log().contains("Resolving dependencies"), build.log());
        assertFalse(build.log().contains("Building jar"), build.log());
        assertTrue(build.log().contains("Neon branch '" + APP + "-main' exists already and is used again.\n"), build.log());
    }

    @Test
    @Order(3)
    void a_feature_branch_gets_its_own_database_and_mains_backend() throws IOException {
        Rehearsal.Build build = rehearsal.build(amplifyYml, "feature/login", Map.of());
        assertTrue(build.isDeployed(), build.log());
        assertTrue(build.calls().contains("npx ampx generate outputs --branch main --app-id " + APP), build.calls()::toString);
        assertTrue(sandbox.neon().hasBranch(APP + "-feature/login"));
    }

    @Test
    @Order(4)
    void a_pull_requests_preview_gets_its_own_database() throws IOException {
        sandbox.aws().pullRequest(7, "fix/typo");
        Rehearsal.Build build = rehearsal.build(amplifyYml, "pr-7", Map.of("AWS_PULL_REQUEST_ID", "7"));
        assertTrue(build.isDeployed(), build.log());
        assertEquals("7", sandbox.neon().branch(APP + "-pr-7").annotation.get("amplify-pull-request-id"));
    }

    @Test
    @Order(5)
    void the_build_after_a_branch_was_deleted_cleans_up_last() throws IOException {
        sandbox.aws().removeBranch("feature/login");
        Rehearsal.Build build = rehearsal.build(amplifyYml, "main", Map.of());
        assertTrue(build.isDeployed(), build.log());
        assertFalse(sandbox.neon().hasBranch(APP + "-feature/login"));
        assertTrue(sandbox.neon().hasBranch(APP + "-pr-7"));
        assertTrue(sandbox.neon().hasBranch("production"));
    }

    @Test
    @Order(6)
    void a_build_without_a_database_deploys_nothing() throws IOException {
        sandbox.fail("GET", "/connection_uri$", -1, Fault.neon(403, "", "no"));
        Rehearsal.Build build = rehearsal.build(amplifyYml, "main", Map.of());
        sandbox.failNoMore();
        assertFalse(build.isDeployed());
        assertEquals(List.of(), build.calls());
        assertTrue(build.log().contains("neon-ci: Could not get the connection string of Neon branch "), build.log());
    }

    @Test
    @Order(7)
    void a_build_whose_clean_up_fails_is_deployed_all_the_same_and_the_log_says_so() throws IOException {
        sandbox.fail("GET", "/amplify/", -1, Fault.neon(403, "", "no"));
        Rehearsal.Build build = rehearsal.build(amplifyYml, "main", Map.of());
        sandbox.failNoMore();
        assertTrue(build.isDeployed(), build.log());
        assertTrue(build.log().contains("neon-ci: Could not list the branches of Amplify app "), build.log());
        assertTrue(build.log().contains("neon-ci could not clean up; the app is deployed all the same.\n"), build.log());
    }

    @ParameterizedTest
    @ValueSource(strings = {"two words", "it's \"so\"", "$(touch pwned)`touch pwned`", "a;touch pwned&touch pwned", "*\\b"})
    @Order(8)
    void any_branch_name_is_only_a_name(String branch) throws IOException {
        sandbox.aws().branches(branch);
        Rehearsal.Build build = rehearsal.build(amplifyYml, branch, Map.of());
        assertTrue(build.isDeployed(), build.log());
        assertTrue(sandbox.neon().hasBranch(APP + "-" + branch));
        assertFalse(Files.exists(build.folder().resolve("pwned")));
    }

    @Test
    @Order(9)
    void the_log_is_plain_text() throws IOException {
        assertFalse(rehearsal.build(amplifyYml, "main", Map.of()).log().contains("\u001b"));
    }

    @Test
    @Order(10)
    void the_readmes_other_buildspecs_work_too() throws IOException {
        List<String> buildspecs = Pattern.compile("(?ms)^```yaml\n(version: 1\n.*?)^```$").matcher(Files.readString(Path.of("README.md")))
                .results().map(block -> block.group(1)).toList();
        assertEquals(2, buildspecs.size());
        for (String buildspec : buildspecs) {
            String branch = "readme-" + buildspecs.indexOf(buildspec);
            sandbox.aws().branches(branch);
            Rehearsal.Build build = rehearsal.build(buildspec, branch, Map.of());
            assertTrue(build.isDeployed(), build.log());
            assertTrue(sandbox.neon().hasBranch(APP + "-" + branch));
            assertTrue(Files.exists(build.folder().resolve(".env")), "the env file lies in the app's root");
            assertTrue(build.log().contains("Neon branches of app " + APP), build.log());
        }
    }
}
