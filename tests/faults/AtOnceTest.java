//SOURCES ../command/InSandbox.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
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

/** Builds and clean-ups that run at the same time. */
class AtOnceTest extends InSandbox {

    private static final int BUILDS = 20;

    private final ExecutorService threads = Executors.newCachedThreadPool();

    @AfterEach
    void stop() {
        threads.shutdownNow();
    }

    @Test
    void twenty_builds_of_one_branch_make_one_branch_and_twenty_good_files() throws Exception {
        // Nobody hears that the branch is not there before all have asked.
        sandbox.hold("GET", "/api/.*/branches$", BUILDS);
        List<Path> files = new ArrayList<>();
        List<Future<Cli.Result>> builds = new ArrayList<>();
        for (int i = 0; i < BUILDS; i++) {
            Path own = Files.createDirectory(folder.resolve("build-" + i)).resolve(".env");
            files.add(own);
            builds.add(threads.submit(() -> create("feature/login", own)));
        }
        int created = 0;
        for (Future<Cli.Result> build : builds) {
            assertEquals(0, build.get().exitCode(), build.get().err());
            assertTrue(build.get().out().contains(" (" + sandbox.neon().branch(Cli.BRANCH).id + ")"), build.get().out());
            created += build.get().out().startsWith("Created ") ? 1 : 0;
        }
        assertEquals(1, created);
        assertEquals(List.of("production", Cli.BRANCH), sandbox.neon().names());
        assertEquals(1, count("POST", 201));
        assertEquals(BUILDS - 1, count("POST", 409));
        for (Path file : files) {
            assertEquals(Cli.written(sandbox, Cli.BRANCH), Files.readString(file));
        }
    }

    @Test
    void two_builds_of_one_masked_branch_make_one_and_wait_for_its_masking() throws Exception {
        String rules = rules().toString();
        sandbox.hold("GET", "/api/.*/branches$", 2);
        sandbox.neon().maskingTakes(Duration.ZERO, 4);
        List<Future<Cli.Result>> builds = Stream.of("a.env", "b.env").map(file -> threads.submit(() ->
                Cli.create(sandbox, Cli.withKey(sandbox), folder.resolve(file), "--masking-rules", rules))).toList();
        for (Future<Cli.Result> build : builds) {
            assertEquals(0, build.get().exitCode(), build.get().err());
            assertTrue(build.get().out().contains("\nIt is masked.\n"), build.get().out());
        }
        assertEquals(List.of("production", Cli.BRANCH), sandbox.neon().names());
        List<Exchange> exchanges = sandbox.exchanges();
        int masked = exchanges.indexOf(exchanges.stream().filter(exchange -> exchange.responseBody().contains("\"anonymized\"")).findFirst()
                .orElseThrow());
        assertEquals(4, exchanges.stream().skip(masked).filter(exchange -> exchange.path().endsWith("/connection_uri")).count());
        assertEquals(4, requests("GET", "/connection_uri$").size());
        assertEquals(Files.readString(folder.resolve("a.env")), Files.readString(folder.resolve("b.env")));
    }

    @Test
    void builds_that_share_an_env_file_leave_it_whole() throws Exception {
        Files.writeString(envFile, "A=1\n");
        for (Future<Cli.Result> build : Stream.generate(() -> threads.submit(() -> create("feature/login", envFile))).limit(8).toList()) {
            assertEquals(0, build.get().exitCode(), () -> sandbox.exchanges().toString());
        }
        assertEquals(Cli.written(sandbox, Cli.BRANCH) + "A=1\n", Files.readString(envFile));
        try (Stream<Path> left = Files.list(folder)) {
            assertEquals(List.of(envFile), left.toList());
        }
    }

    @Test
    void no_clean_up_deletes_the_branch_of_a_build() throws Exception {
        // Small pages make for long lists, in which a branch can be born.
        sandbox.neon().maximumPageSize(3);
        sandbox.aws().maximumPageSize(3);
        for (int round = 0; round < 40; round++) {
            String gone = SandboxAws.APP_ID + "-gone-" + round;
            String born = "born-" + round;
            sandbox.neon().add(gone);
            Path envFile = folder.resolve(born + ".env");
            // Another moment of the clean-up's lists in each round.
            int moment = sandbox.exchanges().size() + round * 7 % (2 * round / 3 + 2);
            Future<Cli.Result> cleanup = threads.submit(() -> cleanUp());
            sandbox.await(exchanges -> exchanges.size() >= moment || cleanup.isDone());
            // Amplify knows a branch before it builds it.
            Future<Cli.Result> create = threads.submit(() -> {
                sandbox.aws().branches(born);
                return create(born, envFile);
            });
            Future<Cli.Result> another = threads.submit(() -> cleanUp());
            for (Future<Cli.Result> run : List.of(cleanup, create, another)) {
                assertEquals(0, run.get().exitCode(), run.get().err());
            }
            assertEquals(Cli.written(sandbox, SandboxAws.APP_ID + "-" + born), Files.readString(envFile));
            assertFalse(sandbox.neon().hasBranch(gone), "round " + round);
        }
        assertEquals(40, requests("DELETE", "").stream().map(Exchange::path).distinct().count());
        assertEquals(41, sandbox.neon().branches().size());
    }

    @Test
    void builds_and_clean_ups_wait_for_the_operations_of_others_and_of_each_other() throws Exception {
        List.of("a", "b", "c").forEach(orphan -> sandbox.neon().add(SandboxAws.APP_ID + "-" + orphan));
        sandbox.neon().oneChangeAtATime();
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
            assertEquals(0, run.get().exitCode(), run.get().err());
        }
        assertEquals(Set.of("production", SandboxAws.APP_ID + "-d", SandboxAws.APP_ID + "-e"),
                Set.copyOf(sandbox.neon().names()));
    }

    /** A build makes the Amplify branch of the last orphan anew, while the first ones are removed or wait for something. */
    @ParameterizedTest
    @ValueSource(strings = {"", "423", "429", "500", "reset"})
    void a_branch_that_is_live_again_by_its_turn_stays(String fault) {
        orphans(20);
        for (String option : List.of("--grace=3d", "--wait=5m")) {
            String method = option.startsWith("--grace") ? "PATCH" : "DELETE";
            if (!fault.isEmpty()) {
                // All of the first batch have to be tried again.
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

    /** Java's own client for HTTP would send it again by itself, at once. */
    @Test
    void a_delete_whose_connection_broke_is_sent_again_only_after_another_look() {
        orphans(1);
        sandbox.fail("DELETE", "/branches/", 1, Fault.resetBefore());
        assertEquals(0, cleanUp().exitCode());
        assertEquals(List.of("GET", "GET", "DELETE", "GET", "GET", "DELETE"), sandbox.exchanges().stream().map(Exchange::method).toList());
    }

    @Test
    void a_branch_that_was_renamed_stays_whatever_it_is_called_now() {
        orphans(20);
        String id = sandbox.neon().branch(SandboxAws.APP_ID + "-gone-19").id;
        sandbox.when("DELETE", "/branches/", () -> sandbox.neon().rename(id, "precious"));
        sandbox.when("DELETE", "/branches/", () -> sandbox.neon().rename(SandboxAws.APP_ID + "-gone-18", SandboxAws.APP_ID + "-gone-99"));
        Cli.Result result = cleanUp();
        assertEquals(0, result.exitCode(), result.err());
        assertEquals(List.of("production", "precious"), sandbox.neon().names());
    }

    @Test
    void what_only_later_lists_show_as_orphaned_waits_for_a_later_clean_up() {
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
    void a_list_that_cannot_be_read_again_ends_the_run_with_the_rest_still_there() {
        orphans(20);
        sandbox.when("DELETE", "/branches/", () -> sandbox.aws().deny("amplify:ListBranches"));
        Cli.Result result = cleanUp("--output", "json");
        assertEquals(1, result.exitCode());
        assertEquals(12, Cli.json(result.out()).path("failed").size());
        assertEquals(8, Cli.json(result.out()).path("deleted").size());
        assertEquals(13, sandbox.neon().branches().size());
        assertTrue(result.err().matches("(?s:.*)\nCould not list the branches of Amplify app [^\n]*AccessDeniedException[^\n]*\n"
                + "neon-ci: 12 of 20 orphans could not be deleted; run again later.\n"), result.err());
    }

    @Test
    void a_small_clean_up_reads_each_list_once() {
        orphans(8);
        assertEquals(0, cleanUp().exitCode());
        assertEquals(10, sandbox.exchanges().size());
    }

    @ParameterizedTest
    @ValueSource(strings = {"locked", "stalled", "slow"})
    void nothing_is_sent_after_the_wait_and_what_was_done_is_not_called_failed(String trouble) {
        orphans(40);
        switch (trouble) {
            case "locked" -> sandbox.fail("DELETE", "-", -1, Fault.locked());
            case "stalled" -> sandbox.fail("DELETE", "-", -1, Fault.stall());
            default -> sandbox.latency(Duration.ofSeconds(2));
        }
        Duration wait = Duration.ofSeconds(trouble.equals("slow") ? 18 : 3);
        Cli.Result result = cleanUp("--max-deletions", "40", "--wait", wait.toSeconds() + "s", "--output", "json");
        assertEquals(1, result.exitCode(), result.err());
        // The time begins before the first request; a machine that is busy may take up the last ones late.
        long latest = sandbox.exchanges().stream().mapToLong(Exchange::start).min().orElseThrow() + wait.plusSeconds(2).toNanos();
        sandbox.exchanges().forEach(exchange -> assertTrue(exchange.start() < latest, exchange::toString));
        JsonNode report = Cli.json(result.out());
        assertEquals(40, report.path("deleted").size() + report.path("failed").size());
        assertEquals(sandbox.neon().branches().size() - 1, report.path("failed").size());
    }

    private Cli.Result create(String branch, Path envFile) {
        return Cli.create(sandbox, Cli.withKey(sandbox), envFile, "--branch-name", branch);
    }

    @Override
    Cli.Result cleanUp(String... more) {
        return cleanUp(Cli.withKey(sandbox), more);
    }

    private void orphans(int count) {
        IntStream.range(0, count).forEach(i -> sandbox.neon().add("%s-gone-%02d".formatted(SandboxAws.APP_ID, i)));
    }

    /** Returns how often Neon answered so. */
    private long count(String method, int status) {
        return statuses(method, "/branches").stream().filter(answered -> answered == status).count();
    }
}
