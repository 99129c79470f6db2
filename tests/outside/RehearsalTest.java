//SOURCES Readme.java
//SOURCES Rehearsal.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
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
        assertFalse(sandbox.neon().hasBranch(APP + "-main"), "production has no copy");
        List<String> envFile = Files.readAllLines(build.folder().resolve(".amplify-hosting/.env"));
        assertTrue(envFile.get(0).startsWith("DATABASE_URL=\"postgresql://"));
        assertTrue(Files.readAllLines(build.folder().resolve(".amplify-hosting/baked")).contains(envFile.get(0).replace("\"", "")),
                "an app that reads the environment at build time gets another DATABASE_URL");
    }

    @Test
    @Order(2)
    void a_build_with_the_cache_in_another_folder_fetches_nothing() throws IOException {
        Rehearsal.Build build = rehearsal.build(amplifyYml, "main", Map.of());
        assertTrue(build.isDeployed(), build.log());
        assertFetchesNothing(build);
        assertTrue(build.log().contains("Using Neon branch 'production' ("), build.log());
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
        String id = sandbox.neon().branch(APP + "-feature/login").id;
        assertTrue(build.log().contains("'" + APP + "-feature/login' (" + id + ") expires on "), build.log());
        sandbox.neon().passTime(Duration.ofDays(2));
        assertTrue(sandbox.neon().hasBranch(APP + "-feature/login"));
        sandbox.neon().passTime(Duration.ofDays(2));
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
    @ValueSource(strings = {"two words", "it's \"so\"", "$(touch pwned)`touch pwned`", "a;touch pwned&touch pwned", "*\\b", "größe"})
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

    @ParameterizedTest
    @MethodSource
    @Order(10)
    void the_readmes_other_buildspecs_work_too(String form, String buildspec) throws IOException {
        rehearsal.emptyCache();
        assertWorks(buildspec, form + "-1");
        assertFetchesNothing(assertWorks(buildspec, form + "-2"));
    }

    static List<Arguments> the_readmes_other_buildspecs_work_too() {
        return List.of(Arguments.of("frontend", Readme.frontendOnly()), Arguments.of("monorepo", Readme.monorepo()));
    }

    @Test
    @Order(11)
    void prisma_finds_the_direct_string_where_the_readme_has_it_look() throws IOException {
        String lines = Readme.block("yaml", "prisma");
        String create = "- .ci/jbang neon-ci.java create-branch";
        Rehearsal.Build build = assertWorks(Readme.frontendOnly().replaceFirst(create + ".*", Readme.literal(lines, create))
                .replace("- npm run build", Readme.line(lines, "- npx prisma") + "\n        - npm run build"), "prisma");
        assertTrue(build.calls().contains("npx prisma migrate deploy"), build.calls()::toString);
        assertEquals(List.of("DATABASE_URL", "DIRECT_URL"), Files.readAllLines(build.folder().resolve(".env")).stream()
                .map(line -> line.replaceFirst("=.*", "")).toList());
    }

    @Test
    @Order(12)
    void without_a_copy_the_readmes_line_runs_it_from_a_catalog() throws IOException {
        HttpServer web = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        web.createContext("/neon-ci/", exchange -> {
            byte[] body = Files.readAllBytes(Path.of(exchange.getRequestURI().getPath().substring("/neon-ci/".length())));
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
            exchange.close();
        });
        web.start();
        // A name of this machine that JBang does not trust by itself, as it would not trust a repository of someone else's.
        String address = "http://127.1:" + web.getAddress().getPort() + "/neon-ci/";
        rehearsal.emptyCache();
        rehearsal.copyOnly(".ci/jbang");
        String catalog = "neon-ci@OWNER/neon-ci/v1.0.0";
        String buildspec = Readme.frontendOnly()
                .replaceFirst("- .ci/jbang neon-ci.java create-branch.*", Readme.literal(Readme.block("yaml", "jbang trust add"), "- "))
                .replace("neon-ci.java", catalog).replace(catalog, "neon-ci@" + address + "jbang-catalog.json")
                .replace("https://github.com/OWNER/neon-ci", address);
        assertWorks(buildspec, "catalog-1");
        assertFetchesNothing(assertWorks(buildspec, "catalog-2"));
        web.stop(0);
    }

    @Test
    @Order(13)
    void with_jbangs_own_installer_the_readmes_line_brings_it() throws IOException {
        rehearsal.emptyCache();
        rehearsal.copyOnly("neon-ci.java", "lib");
        String buildspec = Readme.frontendOnly().replace(".ci/jbang", "jbang").replaceFirst("( *)(- jbang .*\n)",
                "$1" + Readme.literal(Readme.block("yaml", "sh.jbang.dev"), "- ") + "\n$1$2");
        assertWorks(buildspec, "installer-1");
        List<String> calls = assertWorks(buildspec, "installer-2").calls();
        assertEquals(List.of(), calls.stream().filter(call -> call.startsWith("curl") || call.equals("a JDK")).toList());
    }

    /** Builds a branch, and expects that it is deployed with a database of its own after a clean-up. */
    private Rehearsal.Build assertWorks(String buildspec, String branch) throws IOException {
        sandbox.aws().branches(branch);
        Rehearsal.Build build = rehearsal.build(buildspec, branch, Map.of());
        assertTrue(build.isDeployed(), build.log());
        assertTrue(sandbox.neon().hasBranch(APP + "-" + branch));
        assertTrue(Files.exists(build.folder().resolve(".env")), "the env file lies in the app's root");
        assertTrue(build.log().contains("Neon branches of app " + APP), build.log());
        return build;
    }

    private static void assertFetchesNothing(Rehearsal.Build build) {
        assertEquals(List.of(), build.calls().stream().filter(call -> call.startsWith("curl") || call.equals("a JDK")).toList());
        for (String work : List.of("Installing", "Building jar")) {
            assertFalse(build.log().contains(work), build.log());
        }
    }
}
