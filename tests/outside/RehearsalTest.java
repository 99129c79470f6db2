//SOURCES Readme.java
//SOURCES Rehearsal.java
//SOURCES Web.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
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
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The builds of an Amplify app, one after another, with amplify.yml and with the README's buildspecs. */
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
    void the_first_build_of_main_downloads_what_it_needs_and_deploys() throws IOException {
        Rehearsal.Build build = rehearsal.build(amplifyYml, "main", Map.of());
        assertTrue(build.isDeployed(), build.log());
        assertEquals(List.of("curl -fsSL --retry 2 https://sh.jbang.dev", "a JDK"), build.downloads());
        assertTrue(build.calls().contains("npx ampx pipeline-deploy --branch main --app-id " + APP), build.calls()::toString);
        assertFalse(sandbox.neon().hasBranch(APP + "-main"), "production has no copy");
        List<String> envFile = Files.readAllLines(build.folder().resolve(".amplify-hosting/.env"));
        assertTrue(envFile.get(0).startsWith("DATABASE_URL=\"postgresql://"));
        assertTrue(Files.readAllLines(build.folder().resolve(".amplify-hosting/baked")).contains(envFile.get(0).replace("\"", "")),
                "an app that reads the environment at build time gets another DATABASE_URL");
    }

    @Test
    @Order(2)
    void a_build_with_the_cache_in_another_folder_downloads_nothing() throws IOException {
        Rehearsal.Build build = rehearsal.build(amplifyYml, "main", Map.of());
        assertTrue(build.isDeployed(), build.log());
        assertDownloadsNothing(build);
        assertTrue(build.log().contains("Using Neon branch 'production' "), build.log());
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
    void the_build_after_a_branch_was_deleted_lets_its_database_expire_and_no_other() throws IOException {
        sandbox.aws().removeBranch("feature/login");
        Rehearsal.Build build = rehearsal.build(amplifyYml, "main", Map.of());
        assertTrue(build.isDeployed(), build.log());
        assertTrue(build.log().contains("'" + APP + "-feature/login' (br-"), build.log());
        sandbox.neon().passTime(Duration.ofDays(4));
        assertFalse(sandbox.neon().hasBranch(APP + "-feature/login"));
        assertTrue(sandbox.neon().hasBranch(APP + "-pr-7"));
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
    void a_failed_clean_up_is_logged_and_does_not_fail_the_build() throws IOException {
        sandbox.fail("GET", "/amplify/", -1, Fault.neon(403, "", "no"));
        Rehearsal.Build build = rehearsal.build(amplifyYml, "main", Map.of());
        sandbox.failNoMore();
        assertTrue(build.isDeployed(), build.log());
        assertTrue(build.log().contains("neon-ci: Could not list the branches of Amplify app "), build.log());
        assertTrue(build.log().contains("Clean-up failed. The next build tries again.\n"), build.log());
    }

    @Test
    @Order(8)
    void a_branch_name_is_only_a_name() throws IOException {
        String branch = "two  words \"quoted\" it's $(touch pwned)`touch pwned`;touch pwned&touch pwned|*\\b größe";
        sandbox.aws().branches(branch);
        Rehearsal.Build build = rehearsal.build(amplifyYml, branch, Map.of());
        assertTrue(build.isDeployed(), build.log());
        assertTrue(sandbox.neon().hasBranch(APP + "-" + branch));
        assertFalse(Files.exists(build.folder().resolve("pwned")));
    }

    @ParameterizedTest
    @MethodSource
    @Order(9)
    void the_readmes_buildspecs_work(String form, String buildspec) throws IOException {
        rehearsal.emptyCache();
        assertWorks(buildspec, form + "-1");
        assertDownloadsNothing(assertWorks(buildspec, form + "-2"));
    }

    static List<Arguments> the_readmes_buildspecs_work() {
        return List.of(Arguments.of("frontend", Readme.frontend()), Arguments.of("monorepo", Readme.monorepo()));
    }

    @Test
    @Order(10)
    void the_readmes_commands_for_two_roles_give_each_its_own_variable() throws IOException {
        sandbox.neon().roles("production", "neondb_owner", "app");
        Rehearsal.Build build = assertWorks(Readme.frontendFor("Two roles"), "roles");
        assertEquals(List.of("MIGRATION_URL_POOLED", "MIGRATION_URL", "DATABASE_URL", "DATABASE_URL_UNPOOLED"), variables(build));
        String envFile = Files.readString(build.folder().resolve(".env"));
        assertTrue(envFile.contains("\nDATABASE_URL=\"postgresql://app:"));
        assertTrue(envFile.contains("\nMIGRATION_URL=\"postgresql://neondb_owner:"));
    }

    @Test
    @Order(11)
    void the_readmes_commands_for_a_seed_run_it_for_new_copies_only() throws IOException {
        String buildspec = Readme.frontendFor("Seed").replace("YOUR SEED COMMAND", "npx seed");
        assertTrue(assertWorks(buildspec, "seed").calls().contains("npx seed"));
        assertFalse(assertWorks(buildspec, "seed").calls().contains("npx seed"));
        assertFalse(rehearsal.build(buildspec, "main", Map.of()).calls().contains("npx seed"));
    }

    @Test
    @Order(12)
    void the_readmes_command_for_the_catalog_works_without_a_copy() throws IOException {
        try (Web web = new Web(Path.of(""), false)) {
            String buildspec = web.replaceCatalog(Readme.frontendFor("From this repository's catalog")
                    .replace(Readme.COMMAND, ".neon-ci/jbang neon-ci@OWNER/neon-ci/v1.0.0"));
            assertWorks(buildspec, "catalog-1");
            assertDownloadsNothing(assertWorks(buildspec, "catalog-2"));
        }
    }

    private static List<String> variables(Rehearsal.Build build) throws IOException {
        return Files.readAllLines(build.folder().resolve(".env")).stream().map(line -> line.replaceFirst("=.*", "")).toList();
    }

    /** Builds a branch, and expects that it is deployed with its own database and that a clean-up ran. */
    private Rehearsal.Build assertWorks(String buildspec, String branch) throws IOException {
        sandbox.aws().branches(branch, "main");
        Rehearsal.Build build = rehearsal.build(buildspec, branch, Map.of());
        assertTrue(build.isDeployed(), build.log());
        assertTrue(sandbox.neon().hasBranch(APP + "-" + branch));
        assertTrue(Files.exists(build.folder().resolve(".env")), "the env file is not in the app's root");
        assertTrue(build.log().contains("Neon branches of app " + APP), build.log());
        return build;
    }

    private static void assertDownloadsNothing(Rehearsal.Build build) {
        assertEquals(List.of(), build.downloads());
        for (String work : List.of("Installing", "Resolving", "Building jar")) {
            assertFalse(build.log().contains(work), build.log());
        }
    }
}
