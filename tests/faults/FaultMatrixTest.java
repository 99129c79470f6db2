//SOURCES ../command/Cli.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.time.ZoneOffset;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;

/** Every request of both commands with every fault: the run succeeds where a retry can help, and ends in one clear error elsewhere. */
@Tag("slow")
class FaultMatrixTest {

    private static final String ORPHAN = SandboxAws.APP_ID + "-gone";
    private static final String OLD = "A=1\n";

    /**
     * Run, request, and expected results per fault: + for success and - for an error, first with the fault once, then with a lasting fault.
     * A response is lost {@code >} before the request took effect or {@code <} after. A server that is gone refuses connections. The first
     * unpooled string of a new run is the parent's, which only shows whether Neon stores passwords.
     */
    private static final String TABLE = """
            run    |request              |401 403 404 409 422 init 423 429 429s 429d 500 502 503 524 gone rst> rst< cut html hng> hng< stall
            key    |POST /ssm            |--  --  --  --  --  --   --  +-  +-   +-   +-  +-  +-  +-  +-   +-   +-   +-  +-   +-   +-   +-
            new    |GET /api/.*/branches$|--  --  --  --  --  +-   +-  +-  +-   +-   +-  +-  +-  +-  +-   +-   +-   +-  +-   +-   +-   +-
            role   |GET /roles$          |--  --  --  --  --  +-   +-  +-  +-   +-   +-  +-  +-  +-  +-   +-   +-   +-  +-   +-   +-   +-
            role   |GET /databases$      |--  --  --  --  --  +-   +-  +-  +-   +-   +-  +-  +-  +-  +-   +-   +-   +-  +-   +-   +-   +-
            new    |POST /branches$      |--  --  --  --  --  +-   +-  +-  +-   +-   +-  +-  +-  ++  +-   +-   ++   ++  ++   +-   ++   ++
            busy   |GET /operations/     |--  --  --  --  --  +-   +-  +-  +-   +-   +-  +-  +-  +-  +-   +-   +-   +-  +-   +-   +-   +-
            new    |GET \\?pooled=true   |--  --  --  --  --  +-   +-  +-  +-   +-   +-  +-  +-  +-  +-   +-   +-   +-  +-   +-   +-   +-
            new    |GET \\?pooled=false  |--  --  --  --  --  +-   +-  +-  +-   +-   +-  +-  +-  +-  +-   +-   +-   +-  +-   +-   +-   +-
            init   |GET /br-[^/]*$       |--  --  --  --  --  +-   +-  +-  +-   +-   +-  +-  +-  +-  +-   +-   +-   +-  +-   +-   +-   +-
            again  |GET /roles$          |--  --  --  --  --  +-   +-  +-  +-   +-   +-  +-  +-  +-  +-   +-   +-   +-  +-   +-   +-   +-
            again  |GET /databases$      |--  --  --  --  --  +-   +-  +-  +-   +-   +-  +-  +-  +-  +-   +-   +-   +-  +-   +-   +-   +-
            again  |GET /endpoints$      |--  --  --  --  --  +-   +-  +-  +-   +-   +-  +-  +-  +-  +-   +-   +-   +-  +-   +-   +-   +-
            again  |GET /connection_uri$ |--  --  --  --  --  +-   +-  +-  +-   +-   +-  +-  +-  +-  +-   +-   +-   +-  +-   +-   +-   +-
            bare   |POST /endpoints$     |--  --  --  --  --  +-   +-  +-  +-   +-   +-  +-  +-  ++  +-   +-   ++   ++  ++   +-   ++   ++
            expires|PATCH /branches/     |--  --  --  --  --  +-   +-  +-  +-   +-   +-  +-  +-  +-  +-   +-   +-   +-  +-   +-   +-   +-
            reset  |POST /restore$       |--  --  --  --  --  +-   +-  +-  +-   +-   +-  +-  +-  +-  +-   +-   +-   +-  +-   +-   +-   +-
            mask   |POST /branch_anonymized$|--  --  --  --  --  +-   +-  +-  +-   +-   +-  +-  +-  ++  +-   +-   ++   ++  ++   +-   ++   ++
            mask   |GET /anonymized_status$|--  --  +-  --  --  +-   +-  +-  +-   +-   +-  +-  +-  +-  +-   +-   +-   +-  +-   +-   +-   +-
            masked |GET /anonymized_status$|--  --  --  --  --  +-   +-  +-  +-   +-   +-  +-  +-  +-  +-   +-   +-   +-  +-   +-   +-   +-
            masked |GET /masking_rules$  |--  --  --  --  --  +-   +-  +-  +-   +-   +-  +-  +-  +-  +-   +-   +-   +-  +-   +-   +-   +-
            cleanup|GET /api/.*/branches$|--  --  --  --  --  +-   +-  +-  +-   +-   +-  +-  +-  +-  +-   +-   +-   +-  +-   +-   +-   +-
            cleanup|GET /amplify/        |--  --  --  --  --  --   --  +-  +-   +-   +-  +-  +-  +-  +-   +-   +-   +-  +-   +-   +-   +-
            cleanup|GET \\?nextToken     |--  --  --  --  --  --   --  +-  +-   +-   +-  +-  +-  +-  +-   +-   +-   +-  +-   +-   +-   +-
            cleanup|DELETE /branches/    |--  --  +-  --  --  +-   +-  +-  +-   +-   +-  +-  +-  ++  +-   +-   ++   ++  ++   +-   ++   ++
            grace  |GET /api/.*/branches$|--  --  --  --  --  +-   +-  +-  +-   +-   +-  +-  +-  +-  +-   +-   +-   +-  +-   +-   +-   +-
            grace  |GET /amplify/        |--  --  --  --  --  --   --  +-  +-   +-   +-  +-  +-  +-  +-   +-   +-   +-  +-   +-   +-   +-
            grace  |PATCH /branches/     |--  --  +-  --  --  +-   +-  +-  +-   +-   +-  +-  +-  ++  +-   +-   ++   ++  ++   +-   ++   ++
            """;

    private record Cell(String run, String method, String path, String fault, boolean isLasting, boolean succeeds) {

        @Override
        public String toString() {
            return run + ": " + method + " " + path + " " + fault + (isLasting ? " lasting: " : " once: ")
                    + (succeeds ? "success" : "error");
        }
    }

    // Most runs mostly wait, and those that wait for a response do nothing else.
    private final ExecutorService busy = Executors.newFixedThreadPool(24);
    private final ExecutorService idle = Executors.newFixedThreadPool(80);

    @TempDir
    Path folder;

    @AfterEach
    void stop() {
        busy.shutdownNow();
        idle.shutdownNow();
    }

    @TestFactory
    Stream<DynamicTest> ends_well_or_in_one_clear_error() {
        // They all start at once; each is its own test.
        List<DynamicTest> tests = new ArrayList<>();
        for (Cell cell : cells().toList()) {
            Path own = folder.resolve(String.valueOf(tests.size()));
            Future<?> run = (hangs(cell.fault()) ? idle : busy).submit(() -> run(cell, own));
            tests.add(DynamicTest.dynamicTest(cell.toString(), () -> {
                try {
                    // A request without a timeout must not hang the tests.
                    run.get(2, TimeUnit.MINUTES);
                } catch (ExecutionException e) {
                    throw e.getCause();
                }
            }));
        }
        return tests.stream();
    }

    private static Stream<Cell> cells() {
        String[] faults = TABLE.lines().findFirst().orElseThrow().replaceFirst(".*\\|", "").split(" +");
        return TABLE.lines().skip(1).flatMap(line -> {
            String[] columns = line.split(" *\\| *");
            String[] request = columns[1].split(" ");
            String[] results = columns[2].split(" +");
            assertEquals(faults.length, results.length, line);
            return IntStream.range(0, 2 * faults.length).mapToObj(i -> new Cell(columns[0], request[0], request[1], faults[i / 2],
                    i % 2 == 1, results[i / 2].charAt(i % 2) == '+'));
        });
    }

    private void run(Cell cell, Path folder) {
        try (Sandbox sandbox = Sandbox.withoutPostgres()) {
            Path envFile = Files.createDirectory(folder).resolve(".env");
            Files.writeString(envFile, OLD);
            setUp(cell, sandbox);
            sandbox.fail(cell.method(), cell.path(), cell.isLasting() ? -1 : 1, fault(cell.fault()));
            boolean isGone = cell.fault().equals("gone") && cell.isLasting();
            if (isGone) {
                closeWhenAsked(cell, sandbox);
            }

            // Short where an error is expected; a clean-up deletes nothing in its last 2 s. A hanging request takes half of the time.
            String wait = !cell.succeeds() ? isCleanup(cell) ? "3s" : "1s" : hangs(cell.fault()) ? "40s" : "5m";
            Cli.Result result = command(cell, sandbox, envFile, wait);

            assertEquals(cell.succeeds() ? 0 : 1, result.exitCode(), result.err());
            assertClearError(result);
            assertHarmedNothing(cell, sandbox, envFile, result);
            if (!isGone) {
                sandbox.failNoMore();
                assertEquals(0, command(cell, sandbox, envFile, "5m").exitCode());
                assertHarmedNothing(cell, sandbox, envFile, new Cli.Result(0, "", ""));
                sandbox.neon().passTime(Duration.ofDays(4));
                assertFalse(sandbox.neon().hasBranch(ORPHAN));
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static boolean isCleanup(Cell cell) {
        return cell.run().equals("cleanup") || cell.run().equals("grace");
    }

    private static boolean hangs(String fault) {
        return fault.startsWith("hng") || fault.equals("stall");
    }

    private static void setUp(Cell cell, Sandbox sandbox) {
        SandboxNeon neon = sandbox.neon();
        neon.operationsTake(Duration.ZERO);
        neon.maskingTakes(Duration.ZERO, 0);
        switch (cell.run()) {
            case "again", "expires", "reset" -> neon.add(Cli.BRANCH);
            case "bare" -> neon.add(Cli.BRANCH).withoutCompute();
            case "busy" -> neon.operationsTakePolls(1);
            case "init" -> {
                SandboxBranch made = neon.add(Cli.BRANCH).state("init");
                sandbox.when("GET", "/branches/br-[^/]*$", () -> made.state(null));
            }
            case "masked" -> Cli.addMasked(sandbox, Cli.RULES, true).state = "anonymized";
            case "cleanup", "grace" -> {
                neon.add(Cli.BRANCH);
                neon.add(ORPHAN);
                sandbox.aws().maximumPageSize(1);
            }
            default -> { }
        }
    }

    private static Cli.Result command(Cell cell, Sandbox sandbox, Path envFile, String wait) throws IOException {
        String more = switch (cell.run()) {
            case "cleanup" -> "cleanup-branches";
            case "grace" -> "cleanup-branches --grace 3d";
            case "role" -> "create-branch --role-name neondb_owner";
            case "expires" -> "create-branch --expires-in 7d";
            case "reset" -> "create-branch --reset";
            case "mask", "masked" -> "create-branch --masking-rules "
                    + Files.writeString(Path.of(envFile.getParent() + ".json"), Cli.RULES);
            default -> "create-branch";
        };
        List<String> args = new ArrayList<>(List.of(more.split(" ")));
        args.addAll(List.of("--wait", wait, "--verbose"));
        if (!isCleanup(cell)) {
            args.addAll(List.of("--env-file", envFile.toString()));
        }
        return Cli.run(sandbox, cell.run().equals("key") ? Map.of() : Cli.withKey(sandbox), args.toArray(String[]::new));
    }

    private static Fault fault(String name) {
        return switch (name) {
            case "init" -> Fault.neon(422, "", "branch not ready yet");
            case "423" -> Fault.locked();
            case "429s" -> Fault.status(429, "{}", Map.of("Retry-After", "1"));
            case "429d" -> Fault.status(429, "{}", Map.of("Retry-After",
                    DateTimeFormatter.RFC_1123_DATE_TIME.format(ZonedDateTime.now(ZoneOffset.UTC).plusSeconds(2))));
            case "502" -> Fault.status(502, "<html><body>Bad Gateway</body></html>", Map.of("Content-Type", "text/html"));
            case "524" -> Fault.html524();
            case "rst>" -> Fault.resetBefore();
            case "rst<" -> Fault.resetAfter();
            case "cut" -> Fault.cut();
            case "html" -> Fault.notJson();
            case "gone" -> Fault.restart();
            case "hng>" -> Fault.hangBefore();
            case "hng<" -> Fault.hangAfter();
            case "stall" -> Fault.stall();
            default -> Fault.neon(Integer.parseInt(name), "", "");
        };
    }

    /** Closes the server during the request, so that later connections are refused. */
    private void closeWhenAsked(Cell cell, Sandbox sandbox) {
        idle.submit(() -> {
            sandbox.await(exchanges -> exchanges.stream()
                    .anyMatch(exchange -> exchange.method().equals(cell.method()) && exchange.status() == 0));
            sandbox.close();
        });
    }

    private static void assertClearError(Cli.Result result) {
        List<String> errors = result.err().lines().filter(line -> line.startsWith("neon-ci: ")).toList();
        assertEquals(result.exitCode(), errors.size(), result.err());
        errors.forEach(error -> assertTrue(error.endsWith(".") && error.length() < 500, error));
        assertFalse(Pattern.compile("Exception|^\\s+at |<html|null", Pattern.MULTILINE).matcher(result.err()).find(), result.err());
    }

    private static void assertHarmedNothing(Cell cell, Sandbox sandbox, Path envFile, Cli.Result result) throws IOException {
        SandboxNeon neon = sandbox.neon();
        List<String> names = neon.names();
        assertEquals(names.size(), new HashSet<>(names).size(), names::toString);
        assertTrue(neon.hasBranch("production"));
        boolean isCleanup = isCleanup(cell);
        if (isCleanup) {
            assertTrue(neon.hasBranch(Cli.BRANCH) && neon.branch(Cli.BRANCH).expiresAt == null, "a live branch was deleted or will expire");
        } else if (result.exitCode() != 0) {
            assertFalse(result.out().contains("Wrote"), result.out());
        }
        assertEquals(isCleanup || result.exitCode() != 0 ? OLD : Cli.written(sandbox, Cli.BRANCH) + OLD, Files.readString(envFile));
        try (Stream<Path> files = Files.list(envFile.getParent())) {
            assertEquals(List.of(envFile), files.toList());
        }
    }
}
