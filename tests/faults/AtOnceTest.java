//SOURCES ../command/Cli.java
//SOURCES ../sandbox/Shell.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Builds and clean-ups that run at the same time. */
class AtOnceTest {

    private static final String NAME = SandboxAws.APP_ID + "-feature/login";

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

    @Tag("slow")
    @Test
    void twenty_builds_of_one_branch_make_one_branch_and_twenty_good_files() throws Exception {
        // Long enough for every process to have looked before the first has made the branch, as far as a machine can run so many.
        sandbox.latency(Duration.ofMillis(500));
        List<Path> files = new ArrayList<>();
        List<Future<Shell.Result>> builds = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            Path own = Files.createDirectory(folder.resolve("build-" + i));
            files.add(own.resolve(".env"));
            builds.add(threads.submit(() -> Shell.run(own, sandbox.environment(), java("create-branch"))));
        }
        List<String> ids = new ArrayList<>();
        for (Future<Shell.Result> build : builds) {
            Shell.Result result = build.get();
            Cli.assertNoSecret(sandbox.secrets(), result.out(), result.err());
            assertEquals(0, result.exitCode(), result.err());
            ids.add(result.out());
        }
        String id = sandbox.neon().branch(NAME).id;
        assertEquals(Stream.generate(() -> id + "\n").limit(20).toList(), ids);
        assertEquals(List.of("production", NAME), sandbox.neon().branches().stream().map(branch -> branch.name).toList());
        assertEquals(1, posts("201"));
        assertTrue(posts("409") > 0, "no two builds raced");
        for (Path file : files) {
            assertEquals(written(), Files.readString(file));
        }
    }

    @Test
    void builds_that_share_an_env_file_leave_it_whole() throws Exception {
        Path shared = folder.resolve(".env");
        Files.writeString(shared, "A=1\n");
        for (Future<Cli.Result> build : Stream.generate(() -> threads.submit(() -> create("feature/login", shared))).limit(8).toList()) {
            assertEquals(0, build.get().exitCode(), () -> sandbox.exchanges().toString());
        }
        assertEquals("A=1\n" + written(), Files.readString(shared));
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
            String gone = "gone-" + round;
            String born = "born-" + round;
            sandbox.neon().add(SandboxAws.APP_ID + "-" + gone);
            Path envFile = folder.resolve(born + ".env");
            // Another moment of the clean-up's lists in each round.
            int moment = sandbox.exchanges().size() + round * 7 % (2 * round / 3 + 2);
            Future<Cli.Result> cleanup = threads.submit(this::cleanUp);
            while (sandbox.exchanges().size() < moment && !cleanup.isDone()) {
                Thread.onSpinWait();
            }
            // Amplify knows a branch before it builds it.
            Future<Cli.Result> create = threads.submit(() -> {
                sandbox.aws().branches(born);
                return create(born, envFile);
            });
            Future<Cli.Result> another = threads.submit(this::cleanUp);
            for (Future<Cli.Result> run : List.of(cleanup, create, another)) {
                assertEquals(0, run.get().exitCode(), () -> result(run).err());
            }
            assertTrue(sandbox.neon().hasBranch(SandboxAws.APP_ID + "-" + born), "round " + round);
            assertTrue(Files.readString(envFile).contains(sandbox.neon().connectionString(SandboxAws.APP_ID + "-" + born)));
            assertFalse(sandbox.neon().hasBranch(SandboxAws.APP_ID + "-" + gone), "round " + round);
        }
        assertEquals(40, sandbox.exchanges().stream().filter(exchange -> exchange.method().equals("DELETE")).map(Exchange::path)
                .distinct().count());
        assertEquals(41, sandbox.neon().branches().size());
    }

    @Test
    void a_build_waits_for_the_operations_of_another_and_says_so() throws Exception {
        sandbox.neon().oneChangeAtATime();
        sandbox.neon().operationsTake(Duration.ofMillis(700));
        List<Future<Cli.Result>> builds = Stream.of("a", "b", "c").map(branch ->
                threads.submit(() -> create(branch, folder.resolve(branch + ".env")))).toList();
        String said = "";
        for (Future<Cli.Result> build : builds) {
            assertEquals(0, build.get().exitCode(), () -> result(build).err());
            said += build.get().err();
        }
        assertEquals(4, sandbox.neon().branches().size());
        assertTrue(posts("423") > 0);
        assertTrue(said.contains("Neon is at work on this project (423); trying again in "), said);
    }

    @Test
    void a_clean_up_waits_for_the_operations_of_its_own_deletions() {
        sandbox.neon().oneChangeAtATime();
        for (String branch : List.of("a", "b", "c")) {
            sandbox.neon().add(SandboxAws.APP_ID + "-" + branch);
        }
        sandbox.neon().operationsTake(Duration.ofMillis(300));
        Cli.Result result = cleanUp();
        assertEquals(0, result.exitCode(), result.err());
        assertTrue(result.err().contains("Neon is at work on this project (423); trying again in "), result.err());
        assertEquals(1, sandbox.neon().branches().size());
    }

    @Test
    void a_project_that_stays_locked_is_given_up_with_the_way_on() {
        sandbox.fail("POST", "/branches$", -1, Fault.locked());
        Cli.Result result = create("feature/login", folder.resolve(".env"), "--wait", "1s");
        assertTrue(result.err().matches("(?s)Neon is at work on this project \\(423\\); trying again in .*\nneon-ci: Could not create Neon"
                + " branch '" + NAME + "' in project .*: Neon answered 423, project already has running conflicting operations, .*"
                + " run again later, or give it longer with --wait\\.\n"), result.err());
        assertEquals(1, result.exitCode());
    }

    private Cli.Result create(String branch, Path envFile, String... more) {
        List<String> args = new ArrayList<>(List.of("create-branch", "--branch-name", branch, "--env-file", envFile.toString()));
        args.addAll(List.of(more));
        return Cli.run(sandbox, key(), args.toArray(String[]::new));
    }

    private Cli.Result cleanUp() {
        return Cli.run(sandbox, key(), "cleanup-branches");
    }

    private Map<String, String> key() {
        return Map.of("NEON_API_KEY_PARAM", "", "NEON_API_KEY", sandbox.apiKey());
    }

    private static Cli.Result result(Future<Cli.Result> run) {
        try {
            return run.get();
        } catch (InterruptedException | ExecutionException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Returns how often Neon answered the request for a new branch so. */
    private long posts(String status) {
        return sandbox.exchanges().stream().filter(exchange -> exchange.method().equals("POST") && exchange.path().endsWith("/branches")
                && status.equals(String.valueOf(exchange.status()))).count();
    }

    private String written() {
        String direct = sandbox.neon().connectionString(NAME);
        String computeId = sandbox.neon().branch(NAME).computes.get(0).id();
        return "DATABASE_URL=\"" + direct.replace(computeId, computeId + "-pooler") + "\"\nDATABASE_URL_UNPOOLED=\"" + direct + "\"\n";
    }

    /** Returns the command line of a process of its own, as JBang would start it. */
    private static String[] java(String command) {
        return new String[] {Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-XX:TieredStopAtLevel=1",
                "-XX:+UseSerialGC", "-Xmx64m", "-cp", System.getProperty("java.class.path"), "NeonCi", command};
    }
}
