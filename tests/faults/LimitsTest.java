//SOURCES ../command/InSandbox.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.IntFunction;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Responses without end, and output that cannot be written: the run ends in time, with one sentence. */
@Tag("slow")
class LimitsTest extends InSandbox {

    private final ExecutorService threads = Executors.newCachedThreadPool();

    @AfterEach
    void stop() {
        threads.shutdownNow();
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            POST | /ssm     | read SSM parameter /neon/api-key in region eu-central-1: no answer from AWS (timed out)
            GET  | /amplify | list the branches of Amplify app d1a2b3c4d5e6f7 in region eu-central-1: no answer \
            from AWS (timed out)
            """)
    void a_slow_response_is_given_up_when_wait_has_passed(String method, String path, String message) {
        sandbox.fail(method, path, -1, Fault.drip());
        Shell.Result result = process(sandbox.environment(), "cleanup-branches", "--wait", "8s");
        // On a busy machine, the limit of the run can be faster than that of the request.
        boolean isOfRun = result.err().endsWith("neon-ci: Timed out after --wait (8s). Run again to continue, or increase --wait.\n");
        assertTrue(isOfRun || result.err().endsWith("neon-ci: Could not " + message + "; run again later.\n"), result.err());
        assertEquals(1, result.exitCode());
    }

    @Test
    void a_list_without_a_last_page_is_given_up_when_wait_has_passed() {
        answerForEver("/amplify/.*/branches$", page -> "{\"branches\":[],\"nextToken\":\"" + page + "\"}");
        Cli.Result result = cleanUp("--wait", "4s");
        assertEquals("neon-ci: Could not list the branches of Amplify app d1a2b3c4d5e6f7 in region eu-central-1 within --wait: the list"
                + " has more pages; increase --wait, or run again later.\n", result.err());
        assertEquals(1, result.exitCode());
        sandbox.forgetExchanges();

        String full = String.join(",", Collections.nCopies(1000, "{\"id\":\"br-a\",\"name\":\"a\"}"));
        answerForEver("/api/.*/branches$", page -> "{\"branches\":[" + full + "],\"pagination\":{\"next\":\"" + page + "\"}}");
        Cli.Result neon = cleanUp("--wait", "4s");
        assertTrue(neon.err().endsWith("neon-ci: Could not list the branches of Neon project quiet-sandbox-12345678 within --wait; run"
                + " again to continue, or increase --wait.\n"), neon.err());
        assertTrue(sandbox.exchanges().stream().noneMatch(exchange -> exchange.path().startsWith("/amplify")),
                "the run continues after its end");
    }

    /** Both overflow the stack of a client that reads them by recursion. */
    @ParameterizedTest
    @CsvSource({"POST,/ssm", "GET,/amplify/", "GET,/api/.*/branches$", "DELETE,/branches/"})
    void endless_interim_responses_and_deeply_nested_json_end_in_one_sentence(String method, String path) {
        sandbox.neon().add(SandboxAws.APP_ID + "-gone");
        for (Fault fault : List.of(Fault.interim(), Fault.status(200, "{\"a\":".repeat(100_000), Map.of()))) {
            sandbox.failNoMore();
            sandbox.fail(method, path, -1, fault);
            Cli.Result result = cleanUp("--wait", "4s");
            assertTrue(result.err().matches("(?s).*Could not [^\n]*\n(neon-ci: 1 of 1 [^\n]*\n)?"), result.err());
            assertFalse(result.err().contains("\tat "), result.err());
            assertEquals(1, result.exitCode());
        }
    }

    @Test
    void a_response_that_does_not_fit_into_memory_ends_without_the_message_of_a_library() {
        sandbox.fail("GET", "/api/.*/branches$", -1,
                Fault.status(200, "{\"branches\":[" + "{},".repeat(2_000_000) + "{}]}", Map.of()));
        Shell.Result result = process(sandbox.environment(), "create-branch", "--wait", "20s");
        assertFalse(result.err().contains("Java heap space"), result.err());
        assertTrue(result.err().contains("neon-ci: Could not list the branches of "), result.err());
        assertEquals(1, result.exitCode());
    }

    private void answerForEver(String path, IntFunction<String> page) {
        AtomicInteger count = new AtomicInteger();
        new Runnable() {
            @Override
            public void run() {
                sandbox.failNoMore();
                sandbox.fail("GET", path, 1, Fault.status(200, page.apply(count.incrementAndGet()), Map.of()));
                sandbox.when("GET", path, this);
            }
        }.run();
    }

    @ParameterizedTest
    @ValueSource(strings = {"> /dev/full", ">&-"})
    void an_output_that_cannot_be_written_fails_the_run(String redirection) {
        for (String args : List.of("create-branch", "cleanup-branches --output json", "--help")) {
            Shell.Result result = Shell.run(folder, sandbox.environment(), "sh", "-c",
                    Shell.quoted(Shell.java(args.split(" "))) + " " + redirection);
            assertTrue(result.err().endsWith("neon-ci: Could not write the results to stdout, because it is full or closed; fix this"
                    + " and run again.\n"), args + result.err());
            assertEquals(1, result.exitCode(), args);
        }
    }

    @Test
    void a_name_cannot_forge_a_line_of_output() {
        String forged = SandboxAws.APP_ID + "-x\nDeleted 'production' (br-1).\r\u001b[31mneon-ci: all is lost\u0085\u2028";
        sandbox.neon().add(forged);
        for (String line : List.of("cleanup-branches --dry-run", "cleanup-branches --max-deletions 0", "cleanup-branches")) {
            Cli.Result result = run(line.split(" "));
            Stream.concat(result.out().lines(), result.err().lines()).forEach(printed -> assertTrue(
                    printed.matches("(Neon branches of app|Would delete 'd1|Deleted 'd1|neon-ci: Nothing was deleted).*"), printed));
            assertFalse((result.out() + result.err()).matches("(?s).*[\r\u001b\u0085\u2028].*"), result.out());
        }
        Cli.Result created = create("--branch-name", "y\nWrote nothing", "--parent-branch", "production");
        assertEquals(2, created.out().lines().count(), created.out());
    }

    @Test
    void runs_that_write_one_file_at_the_same_time_keep_each_others_entries() throws Exception {
        for (int round = 0; round < 80; round++) {
            Path file = folder.resolve("env-" + round);
            Files.writeString(file, "A=1\n");
            var runs = Stream.of("ONE", "TWO", "THREE", "FOUR").map(key -> threads.submit(() -> {
                new EnvFile(file, new Deadline(Duration.ofMinutes(5)), line -> { }).write(Map.of(key, new Secret("value")));
                return key;
            })).toList();
            for (var run : runs) {
                String key = run.get();
                assertTrue(Files.readString(file).contains(key + "=\"value\"\n"), "round " + round + " lost " + key);
            }
        }
        try (Stream<Path> files = Files.list(folder)) {
            assertEquals(80, files.count());
        }
    }
}
