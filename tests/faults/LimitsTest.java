//SOURCES ../command/InSandbox.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Whatever drips, goes on for ever or cannot be written: the run ends in time, and says so. */
@Tag("slow")
class LimitsTest extends InSandbox {

    private final ExecutorService threads = Executors.newCachedThreadPool();
    private ServerSocket server;

    @BeforeEach
    void start() throws IOException {
        server = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
    }

    @AfterEach
    void stop() throws IOException {
        server.close();
        threads.shutdownNow();
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            AWS_ENDPOINT_URL_SSM     | drip     | read SSM parameter /neon/api-key in region eu-central-1: no answer from AWS (timed out)
            AWS_ENDPOINT_URL_SSM     | continue | read SSM parameter /neon/api-key in region eu-central-1: no answer from AWS \
            (its answer does not end)
            AWS_ENDPOINT_URL_AMPLIFY | drip     | list the branches of Amplify app d1a2b3c4d5e6f7 in region eu-central-1: no answer \
            from AWS (timed out)
            NEON_API_HOST            | drip     | list the branches of Neon project quiet-sandbox-12345678: no answer from \
            SERVER/api/v2 (timed out)
            NEON_API_HOST            | continue | list the branches of Neon project quiet-sandbox-12345678: no answer from \
            SERVER/api/v2 (its answer does not end)
            """)
    void an_answer_that_does_not_end_ends_with_the_time_of_the_run(String cloud, String kind, String message) {
        String address = "http://127.0.0.1:" + server.getLocalPort();
        answer(kind.equals("drip") ? LimitsTest::drip : LimitsTest::goOn);
        Map<String, String> environment = sandbox.environment(Map.of(cloud, address + (cloud.equals("NEON_API_HOST") ? "/api/v2" : "")));
        Shell.Result result = process(environment, "cleanup-branches", "--wait", "3s");
        assertTrue(result.err().endsWith("neon-ci: Could not " + message.replace("SERVER", address) + "; run again later.\n"),
                result.err());
        assertEquals(1, result.exitCode());
    }

    @Test
    void a_list_whose_pages_never_end_is_read_no_longer_than_the_run_may_take() {
        AtomicInteger pages = new AtomicInteger();
        answer(out -> {
            String body = "{\"branches\":[],\"nextToken\":\"" + pages.incrementAndGet() + "\"}";
            out.write(("HTTP/1.1 200 OK\r\nContent-Length: " + body.length() + "\r\n\r\n" + body).getBytes(StandardCharsets.ISO_8859_1));
        });
        Cli.Result result = cleanUp(Map.of("AWS_ENDPOINT_URL_AMPLIFY", "http://127.0.0.1:" + server.getLocalPort()), "--wait", "4s");
        assertEquals("neon-ci: Could not list the branches of Amplify app d1a2b3c4d5e6f7 in region eu-central-1 within --wait: its list"
                + " goes on; give it longer, or run again later.\n", result.err());
        assertEquals(1, result.exitCode());
        int asked = pages.get();

        answerNeonForEver();
        Cli.Result neon = cleanUp("--wait", "4s");
        assertTrue(neon.err().endsWith("neon-ci: Could not list the branches of Neon project quiet-sandbox-12345678 within --wait; run"
                + " again, which goes on where this run stopped, or give it longer with --wait.\n"), neon.err());
        assertTrue(asked == pages.get(), "the run that was given up goes on");
    }

    private void answerNeonForEver() {
        AtomicInteger cursor = new AtomicInteger();
        sandbox.when("GET", "/branches$", new Runnable() {
            @Override
            public void run() {
                sandbox.failNoMore();
                answerWithPage(cursor.incrementAndGet());
                sandbox.when("GET", "/branches$", this);
            }
        });
        answerWithPage(0);
    }

    private void answerWithPage(int next) {
        String page = "{\"branches\":[{\"id\":\"br-a\",\"name\":\"a\"}],\"pagination\":{\"next\":\"" + next + "\"}}";
        sandbox.fail("GET", "/branches$", 1, Fault.status(200, page, Map.of()));
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

    /** What is written to whoever connects, again and again until it is gone. */
    private interface Talk {
        void to(OutputStream out) throws IOException, InterruptedException;
    }

    private void answer(Talk talk) {
        threads.submit(() -> {
            while (!server.isClosed()) {
                Socket client = server.accept();
                threads.submit(() -> {
                    try (client) {
                        byte[] request = new byte[65_536];
                        while (client.getInputStream().read(request) >= 0) {
                            talk.to(client.getOutputStream());
                        }
                    }
                    return null;
                });
            }
            return null;
        });
    }

    /** A body that comes byte by byte, each before any limit of a read. */
    private static void drip(OutputStream out) throws IOException, InterruptedException {
        out.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n".getBytes(StandardCharsets.ISO_8859_1));
        while (true) {
            out.write(' ');
            out.flush();
            Thread.sleep(100);
        }
    }

    private static void goOn(OutputStream out) throws IOException {
        while (true) {
            out.write("HTTP/1.1 100 Continue\r\n\r\n".getBytes(StandardCharsets.ISO_8859_1));
        }
    }
}
