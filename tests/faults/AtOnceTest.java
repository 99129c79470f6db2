//SOURCES ../command/InSandbox.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Builds and clean-ups that run at the same time, and state that changes during a clean-up. */
class AtOnceTest extends InSandbox {

    private static final int BUILDS = 20;

    private final ExecutorService threads = Executors.newCachedThreadPool();

    @AfterEach
    void stop() {
        threads.shutdownNow();
    }

    @Test
    void twenty_builds_of_one_branch_create_one_branch_and_write_twenty_files() throws Exception {
        // All builds list the branches before any of them creates one.
        sandbox.hold("GET", "/api/.*/branches$", BUILDS);
        List<Future<Cli.Result>> builds = IntStream.range(0, BUILDS).mapToObj(i -> threads.submit(() ->
                create("feature/login", folder.resolve(i + ".env")))).toList();
        for (int i = 0; i < BUILDS; i++) {
            assertSucceeded(builds.get(i));
            assertEquals(Cli.written(sandbox, Cli.BRANCH), Files.readString(folder.resolve(i + ".env")));
        }
        assertEquals(List.of("production", Cli.BRANCH), sandbox.neon().names());
        assertEquals(1, count("POST", 201));
        assertEquals(BUILDS - 1, count("POST", 409));
    }

    @Test
    void two_builds_of_one_masked_branch_create_one_and_wait_for_its_masking() throws Exception {
        String rules = rules().toString();
        sandbox.hold("GET", "/api/.*/branches$", 2);
        sandbox.neon().maskingTakes(Duration.ZERO, 4);
        List<Future<Cli.Result>> builds = Stream.of("a.env", "b.env").map(file -> threads.submit(() ->
                create("feature/login", folder.resolve(file), "--masking-rules", rules))).toList();
        for (Future<Cli.Result> build : builds) {
            assertSucceeded(build);
        }
        assertEquals(List.of("production", Cli.BRANCH), sandbox.neon().names());
        String id = sandbox.neon().branch(Cli.BRANCH).id;
        List<String> order = sandbox.exchanges().stream().filter(exchange -> id.equals(exchange.query().get("branch_id"))
                || exchange.responseBody().contains("\"anonymized\"")).map(exchange -> exchange.path().replaceFirst(".*/", "")).toList();
        assertEquals("anonymized_status", order.get(0));
        assertEquals(4, order.stream().filter("connection_uri"::equals).count());
        assertEquals(Files.readString(folder.resolve("a.env")), Files.readString(folder.resolve("b.env")));
    }

    @Test
    void no_clean_up_deletes_the_branch_of_a_build() throws Exception {
        // Small pages make a long list, during which a branch can be created.
        sandbox.aws().maximumPageSize(3);
        for (int round = 0; round < 40; round++) {
            String gone = SandboxAws.APP_ID + "-gone-" + round;
            String added = "added-" + round;
            sandbox.neon().add(gone);
            Path envFile = folder.resolve(added + ".env");
            // Each round uses another moment of the clean-up's lists.
            int moment = sandbox.exchanges().size() + round * 7 % (2 * round / 3 + 2);
            Future<Cli.Result> cleanup = threads.submit(() -> cleanUp());
            sandbox.await(exchanges -> exchanges.size() >= moment || cleanup.isDone());
            // Amplify lists a branch before it builds it.
            Future<Cli.Result> create = threads.submit(() -> {
                sandbox.aws().branches(added);
                return create(added, envFile);
            });
            Future<Cli.Result> another = threads.submit(() -> cleanUp());
            for (Future<Cli.Result> run : List.of(cleanup, create, another)) {
                assertSucceeded(run);
            }
            assertEquals(Cli.written(sandbox, SandboxAws.APP_ID + "-" + added), Files.readString(envFile));
            assertFalse(sandbox.neon().hasBranch(gone), "round " + round);
        }
        assertEquals(40, requests("DELETE", "").stream().map(Exchange::path).distinct().count());
        assertEquals(41, sandbox.neon().branches().size());
    }

    @Test
    void builds_and_clean_ups_wait_for_each_others_operations() throws Exception {
        List.of("a", "b", "c").forEach(orphan -> sandbox.neon().add(SandboxAws.APP_ID + "-" + orphan));
        sandbox.neon().allowsOneChangeAtATime = true;
        sandbox.neon().operationsTakePolls(1);
        SandboxOperation ofAnother = sandbox.neon().start("start_compute", sandbox.neon().branch("production").id, null);
        sandbox.neon().operationsTakePolls(0);
        sandbox.neon().operationsTake(Duration.ofMillis(50));
        sandbox.aws().branches("d", "e");
        List<Future<Cli.Result>> runs = List.of(threads.submit(() -> create("d", folder.resolve("d.env"))),
                threads.submit(() -> create("e", folder.resolve("e.env"))), threads.submit(() -> cleanUp()));
        sandbox.await(exchanges -> count("POST", 423) >= 2 && count("DELETE", 423) >= 3);
        assertEquals(4, sandbox.neon().branches().size());
        ofAnother.polled();
        for (Future<Cli.Result> run : runs) {
            assertSucceeded(run);
        }
        assertEquals(Set.of("production", SandboxAws.APP_ID + "-d", SandboxAws.APP_ID + "-e"),
                Set.copyOf(sandbox.neon().names()));
    }

    /** The Amplify branch of an orphan is recreated while the first orphans are removed or wait for a retry. */
    @ParameterizedTest
    @ValueSource(strings = {"", "423", "429", "500", "reset"})
    void a_branch_that_becomes_live_before_its_turn_stays(String fault) {
        orphans(20);
        for (String option : List.of("--grace=3d", "--wait=5m")) {
            String method = option.startsWith("--grace") ? "PATCH" : "DELETE";
            if (!fault.isEmpty()) {
                // The whole first wave needs a retry.
                sandbox.fail(method, "/branches/", method.equals("PATCH") ? 16 : 8,
                        fault.equals("reset") ? Fault.resetBefore() : Fault.neon(Integer.parseInt(fault), "", ""));
            }
            String first = fault.isEmpty() ? "gone-19" : "gone-00";
            sandbox.when(method, "/branches/", () -> sandbox.aws().branches(first));
            Cli.Result result = cleanUp(option);
            assertEquals(0, result.exitCode(), result.err());
            String neonBranch = SandboxAws.APP_ID + "-" + first;
            assertTrue(result.out().contains("\nKeeping '" + neonBranch + "': its Amplify branch exists.\n"), result.out());
            assertEquals(null, sandbox.neon().branch(neonBranch).expiresAt);
            sandbox.aws().removeBranch(first);
        }
        assertEquals(2, sandbox.neon().branches().size());
    }

    /** Java's HTTP client would resend it at once. */
    @Test
    void a_delete_whose_connection_broke_is_retried_only_after_the_lists_were_read_again() {
        orphans(1);
        sandbox.fail("DELETE", "/branches/", 1, Fault.resetBefore());
        assertEquals(0, cleanUp().exitCode());
        assertEquals(List.of("GET", "GET", "DELETE", "GET", "GET", "DELETE"), sandbox.exchanges().stream().map(Exchange::method).toList());
    }

    @Test
    void a_branch_that_was_renamed_during_the_clean_up_stays() {
        orphans(20);
        String id = sandbox.neon().branch(SandboxAws.APP_ID + "-gone-19").id;
        sandbox.when("DELETE", "/branches/", () -> sandbox.neon().rename(id, "precious"));
        sandbox.when("DELETE", "/branches/", () -> sandbox.neon().rename(SandboxAws.APP_ID + "-gone-18", SandboxAws.APP_ID + "-gone-99"));
        Cli.Result result = cleanUp();
        assertEquals(0, result.exitCode(), result.err());
        assertEquals(List.of("production", "precious"), sandbox.neon().names());
    }

    @Test
    void a_branch_that_becomes_an_orphan_during_a_clean_up_waits_for_the_next() {
        orphans(20);
        sandbox.neon().add(Cli.BRANCH);
        sandbox.neon().add(SandboxAws.APP_ID + "-pr-7");
        sandbox.aws().pullRequest(7, "fix/typo");
        sandbox.when("DELETE", "/branches/", () -> sandbox.aws().removeBranch("pr-7"));
        assertEquals(0, cleanUp().exitCode());
        assertTrue(sandbox.neon().hasBranch(SandboxAws.APP_ID + "-pr-7"));
        assertEquals(0, cleanUp().exitCode());
        assertFalse(sandbox.neon().hasBranch(SandboxAws.APP_ID + "-pr-7"));
    }

    @Test
    void a_list_that_cannot_be_read_again_ends_the_run_and_the_remaining_branches_stay() {
        orphans(20);
        sandbox.when("DELETE", "/branches/", () -> sandbox.aws().deny("amplify:ListBranches"));
        Cli.Result result = cleanUp("--output", "json");
        assertEquals(1, result.exitCode());
        assertEquals(12, Cli.json(result.out()).path("failed").size());
        assertEquals(8, Cli.json(result.out()).path("deleted").size());
        assertEquals(13, sandbox.neon().branches().size());
        assertTrue(result.err().matches("(?s:.*)\nCould not list the branches of Amplify app [^\n]*AccessDeniedException[^\n]*\n"
                + "neon-ci: Could not delete 12 of 20 orphans; run again later.\n"), result.err());
    }

    @Test
    void a_small_clean_up_reads_each_list_once() {
        orphans(8);
        assertEquals(0, cleanUp().exitCode());
        assertEquals(10, sandbox.exchanges().size());
    }

    @ParameterizedTest
    @ValueSource(strings = {"locked", "stalled", "slow"})
    void nothing_is_sent_after_wait_and_no_deleted_branch_is_reported_as_failed(String trouble) {
        orphans(40);
        switch (trouble) {
            case "locked" -> sandbox.fail("DELETE", "-", -1, Fault.locked());
            case "stalled" -> sandbox.fail("DELETE", "-", -1, Fault.stall());
            default -> sandbox.latency(Duration.ofSeconds(2));
        }
        Duration wait = Duration.ofSeconds(trouble.equals("slow") ? 18 : 3);
        Cli.Result result = cleanUp("--max-deletions", "40", "--wait", wait.toSeconds() + "s", "--output", "json");
        assertEquals(1, result.exitCode(), result.err());
        // The time starts before the first request, and a busy machine may receive the last ones late.
        long latest = sandbox.exchanges().stream().mapToLong(Exchange::start).min().orElseThrow() + wait.plusSeconds(2).toNanos();
        sandbox.exchanges().forEach(exchange -> assertTrue(exchange.start() < latest, exchange::toString));
        JsonNode report = Cli.json(result.out());
        assertEquals(40, report.path("deleted").size() + report.path("failed").size());
        assertEquals(sandbox.neon().branches().size() - 1, report.path("failed").size());
    }

    private Cli.Result create(String branch, Path envFile, String... more) {
        return Cli.create(sandbox, Cli.withKey(sandbox), envFile, Stream.concat(Stream.of("--branch-name", branch), Stream.of(more))
                .toArray(String[]::new));
    }

    private static void assertSucceeded(Future<Cli.Result> run) throws Exception {
        assertEquals(0, run.get().exitCode(), run.get().err());
    }

    @Override
    Cli.Result cleanUp(String... more) {
        return cleanUp(Cli.withKey(sandbox), more);
    }

    private void orphans(int count) {
        IntStream.range(0, count).forEach(i -> sandbox.neon().add("%s-gone-%02d".formatted(SandboxAws.APP_ID, i)));
    }

    /** Returns the number of Neon's responses with this status. */
    private long count(String method, int status) {
        return statuses(method, "/branches").stream().filter(answered -> answered == status).count();
    }
}
