//SOURCES ../command/Cli.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Builds and clean-ups that run at the same time. */
class AtOnceTest {

    private static final int BUILDS = 20;

    private final ExecutorService threads = Executors.newCachedThreadPool();

    @TempDir
    Path folder;

    private Sandbox sandbox;

    @BeforeEach
    void start() {
        sandbox = Sandbox.withoutPostgres();
        sandbox.neon().operationsTake(Duration.ZERO);
    }

    @AfterEach
    void stop() {
        threads.shutdownNow();
        sandbox.close();
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
        assertEquals(List.of("production", Cli.BRANCH), sandbox.neon().branches().stream().map(branch -> branch.name).toList());
        assertEquals(1, count("POST", 201));
        assertEquals(BUILDS - 1, count("POST", 409));
        for (Path file : files) {
            assertEquals(Cli.written(sandbox, Cli.BRANCH), Files.readString(file));
        }
    }

    @Test
    void two_builds_of_one_masked_branch_make_one_and_wait_for_its_masking() throws Exception {
        Path rules = Files.writeString(folder.resolve("rules.json"), """
                [{"database_name":"neondb","schema_name":"public","table_name":"users","column_name":"email","masking_value":"'x'"}]""");
        sandbox.hold("GET", "/api/.*/branches$", 2);
        sandbox.neon().maskingTakes(Duration.ZERO, 4);
        List<Future<Cli.Result>> builds = Stream.of("a.env", "b.env").map(file -> threads.submit(() ->
                Cli.create(sandbox, Cli.withKey(sandbox), folder.resolve(file), "--masking-rules", rules.toString()))).toList();
        for (Future<Cli.Result> build : builds) {
            assertEquals(0, build.get().exitCode(), build.get().err());
            assertTrue(build.get().out().contains("\nIt is masked: "), build.get().out());
        }
        assertEquals(List.of("production", Cli.BRANCH), sandbox.neon().branches().stream().map(branch -> branch.name).toList());
        List<Exchange> exchanges = sandbox.exchanges();
        int masked = exchanges.indexOf(exchanges.stream().filter(exchange -> exchange.responseBody().contains("\"anonymized\"")).findFirst()
                .orElseThrow());
        assertEquals(4, exchanges.stream().skip(masked).filter(exchange -> exchange.path().endsWith("/connection_uri")).count());
        assertEquals(4, exchanges.stream().filter(exchange -> exchange.path().endsWith("/connection_uri")).count());
        assertEquals(Files.readString(folder.resolve("a.env")), Files.readString(folder.resolve("b.env")));
    }

    @Test
    void builds_that_share_an_env_file_leave_it_whole() throws Exception {
        Path shared = folder.resolve(".env");
        Files.writeString(shared, "A=1\n");
        for (Future<Cli.Result> build : Stream.generate(() -> threads.submit(() -> create("feature/login", shared))).limit(8).toList()) {
            assertEquals(0, build.get().exitCode(), () -> sandbox.exchanges().toString());
        }
        assertEquals("A=1\n" + Cli.written(sandbox, Cli.BRANCH), Files.readString(shared));
        try (Stream<Path> left = Files.list(folder)) {
            assertEquals(List.of(shared), left.toList());
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
            Future<Cli.Result> cleanup = threads.submit(this::cleanUp);
            sandbox.await(exchanges -> exchanges.size() >= moment || cleanup.isDone());
            // Amplify knows a branch before it builds it.
            Future<Cli.Result> create = threads.submit(() -> {
                sandbox.aws().branches(born);
                return create(born, envFile);
            });
            Future<Cli.Result> another = threads.submit(this::cleanUp);
            for (Future<Cli.Result> run : List.of(cleanup, create, another)) {
                assertEquals(0, run.get().exitCode(), run.get().err());
            }
            assertEquals(Cli.written(sandbox, SandboxAws.APP_ID + "-" + born), Files.readString(envFile));
            assertFalse(sandbox.neon().hasBranch(gone), "round " + round);
        }
        assertEquals(40, sandbox.exchanges().stream().filter(exchange -> exchange.method().equals("DELETE")).map(Exchange::path)
                .distinct().count());
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
                threads.submit(() -> create("e", folder.resolve("e.env"))), threads.submit(this::cleanUp));
        sandbox.await(exchanges -> count("POST", 423) >= 2 && count("DELETE", 423) >= 3);
        assertEquals(4, sandbox.neon().branches().size());
        ofAnother.polled();
        for (Future<Cli.Result> run : runs) {
            assertEquals(0, run.get().exitCode(), run.get().err());
        }
        assertEquals(Set.of("production", SandboxAws.APP_ID + "-d", SandboxAws.APP_ID + "-e"),
                sandbox.neon().branches().stream().map(branch -> branch.name).collect(Collectors.toSet()));
    }

    private Cli.Result create(String branch, Path envFile) {
        return Cli.create(sandbox, Cli.withKey(sandbox), envFile, "--branch-name", branch);
    }

    private Cli.Result cleanUp() {
        return Cli.run(sandbox, Cli.withKey(sandbox), "cleanup-branches");
    }

    /** Returns how often Neon answered so. */
    private long count(String method, int status) {
        return sandbox.exchanges().stream().filter(exchange -> exchange.method().equals(method) && exchange.path().contains("/branches")
                && exchange.status() == status).count();
    }
}
