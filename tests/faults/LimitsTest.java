//SOURCES ../command/InSandbox.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
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

/** Whatever drips, goes on for ever or cannot be written: the run ends in time, and says so. */
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
    void an_answer_that_does_not_end_ends_with_the_time_of_the_run(String method, String path, String message) {
        sandbox.fail(method, path, -1, Fault.drip());
        Shell.Result result = process(sandbox.environment(), "cleanup-branches", "--wait", "3s");
        assertTrue(result.err().endsWith("neon-ci: Could not " + message + "; run again later.\n"), result.err());
        assertEquals(1, result.exitCode());
    }

    @Test
    void a_list_whose_pages_never_end_is_read_no_longer_than_the_run_may_take() {
        answerForEver("/amplify/.*/branches$", page -> "{\"branches\":[],\"nextToken\":\"" + page + "\"}");
        Cli.Result result = cleanUp("--wait", "4s");
        assertEquals("neon-ci: Could not list the branches of Amplify app d1a2b3c4d5e6f7 in region eu-central-1 within --wait: its list"
                + " goes on; give it longer, or run again later.\n", result.err());
        assertEquals(1, result.exitCode());
        sandbox.forgetExchanges();

        answerForEver("/api/.*/branches$", page -> "{\"branches\":[{\"id\":\"br-a\",\"name\":\"a\"}],\"pagination\":{\"next\":\"" + page
                + "\"}}");
        Cli.Result neon = cleanUp("--wait", "4s");
        assertTrue(neon.err().endsWith("neon-ci: Could not list the branches of Neon project quiet-sandbox-12345678 within --wait; run"
                + " again, which goes on where this run stopped, or give it longer with --wait.\n"), neon.err());
        assertTrue(sandbox.exchanges().stream().noneMatch(exchange -> exchange.path().startsWith("/amplify")),
                "the run that was given up goes on");
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
            assertTrue(result.err().endsWith("neon-ci: Could not say on stdout what was done: it is full or closed; mend this and run"
                    + " again.\n"), args + result.err());
            assertEquals(1, result.exitCode(), args);
        }
    }

    @Test
    void a_name_or_an_id_forges_no_line_of_output() {
        String forged = SandboxAws.APP_ID + "-x\nDeleted 'production' (br-1).\r\u001b[31mneon-ci: all is lost\u0085\u2028";
        sandbox.neon().add(forged);
        for (String line : List.of("cleanup-branches --dry-run", "cleanup-branches --max-deletions 0", "cleanup-branches")) {
            Cli.Result result = run(line.split(" "));
            Stream.concat(result.out().lines(), result.err().lines()).forEach(said -> assertTrue(
                    said.matches("(Neon branches of app|Would delete 'd1|Deleted 'd1|neon-ci: Nothing was deleted).*"), said));
            assertFalse((result.out() + result.err()).matches("(?s).*[\r\u001b\u0085\u2028].*"), result.out());
        }
        Cli.Result created = create("--branch-name", "y\nWrote nothing", "--parent-branch", "production");
        assertEquals(2, created.out().lines().count(), created.out());
    }

    @Test
    void runs_that_write_one_file_at_the_same_time_lose_nothing() throws Exception {
        for (int round = 0; round < 80; round++) {
            Path file = folder.resolve("env-" + round);
            Files.writeString(file, "A=1\n");
            var runs = Stream.of("ONE", "TWO", "THREE", "FOUR").map(key -> threads.submit(() -> {
                new EnvFile(file).write(Map.of(key, new Secret("value")));
                return key;
            })).toList();
            for (var run : runs) {
                String key = run.get();
                assertTrue(Files.readString(file).contains(key + "=\"value\"\n"), "round " + round + " lost " + key);
            }
        }
    }
}
