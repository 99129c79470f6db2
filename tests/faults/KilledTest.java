//SOURCES ../command/Cli.java
//SOURCES ../sandbox/Shell.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Builds that are killed, and places where no env file can be: each in a process of its own. */
@Tag("slow")
class KilledTest {

    private static final int KILLS = 40;
    private static final String OLD = "A=1\nDATABASE_URL=old\n";

    @TempDir
    Path folder;

    private Path envFile;
    private Sandbox sandbox;

    @BeforeEach
    void start() {
        envFile = folder.resolve(".env");
        sandbox = Sandbox.withoutPostgres();
        sandbox.neon().operationsTake(Duration.ZERO);
    }

    @AfterEach
    void stop() {
        sandbox.close();
    }

    @Test
    void a_build_that_is_killed_leaves_the_old_file_or_the_new_and_the_next_goes_on() throws Exception {
        long seed = Long.getLong("neon-ci.seed", System.nanoTime());
        System.err.println("KilledTest: " + KILLS + " kills, -Dneon-ci.seed=" + seed);
        Random random = new Random(seed);
        int wasOld = 0;
        for (int kill = 0; kill < KILLS; kill++) {
            Files.writeString(envFile, OLD);
            // Every other build is the first one of its branch.
            String branch = kill % 2 == 0 ? "feature/login" : "first-" + kill;
            // Half of the builds are killed at any moment, the others while they ask Neon or write the file.
            int requests = kill % 4 < 2 ? 1 + random.nextInt(6) : 0;
            sandbox.forgetExchanges();
            Process build = start(branch);
            if (requests > 0) {
                awaitRequests(requests, build);
                build.waitFor(random.nextInt(20_000), TimeUnit.MICROSECONDS);
            } else {
                build.waitFor(random.nextInt(1200), TimeUnit.MILLISECONDS);
            }
            build.destroyForcibly().waitFor();

            String left = Files.readString(envFile);
            boolean isOld = left.equals(OLD);
            wasOld += isOld ? 1 : 0;
            assertTrue(isOld || left.equals(written(branch)), "kill " + kill + " left a file that is neither old nor new");
            for (Path temporary : temporaries()) {
                assertEquals("rw-------", PosixFilePermissions.toString(Files.getPosixFilePermissions(temporary)));
                // Only one that was left for a while is certain to be no other run's.
                Files.setLastModifiedTime(temporary, FileTime.from(Instant.now().minusSeconds(120)));
            }
            assertEquals(0, Cli.run(sandbox, "create-branch", "--branch-name", branch, "--env-file", envFile.toString()).exitCode());
            assertEquals(written(branch), Files.readString(envFile));
            assertEquals(List.of(), temporaries());
            assertEquals(1, sandbox.neon().branches().stream().filter(made -> made.name.equals(SandboxAws.APP_ID + "-" + branch)).count());
        }
        assertTrue(wasOld > 0 && wasOld < KILLS, wasOld + " of " + KILLS + " builds were killed before they wrote");
    }

    @Test
    void a_folder_that_cannot_be_written_to_is_noticed_before_anything_is_asked() throws IOException {
        Path readOnly = Files.createDirectory(folder.resolve("read-only"));
        Files.setPosixFilePermissions(readOnly, PosixFilePermissions.fromString("r-xr-xr-x"));
        assertRefused(create(readOnly.resolve(".env")), "no file can be made in its folder");
    }

    @Test
    void a_file_that_cannot_be_read_is_noticed_before_anything_is_asked() throws IOException {
        Files.writeString(envFile, OLD);
        Files.setPosixFilePermissions(envFile, PosixFilePermissions.fromString("-wx-wx-wx"));
        assertRefused(create(envFile), "permission denied");
    }

    @Test
    void a_full_disk_is_noticed_before_anything_is_asked() {
        String fill = "mount -t tmpfs -o size=64k tmpfs . && cd \"$PWD\" && printf A=1 > .env && { cat /dev/zero > filler || true; }";
        Shell.Result trial = Shell.run(folder, Map.of(), "sh", "-c", "unshare -rm sh -c '" + fill + "'");
        Assumptions.assumeTrue(trial.exitCode() == 0, () -> "this user cannot mount a disk to fill: " + trial.err().strip());
        List<String> command = new ArrayList<>(List.of("unshare", "-rm", "sh", "-c",
                fill + " 2> /dev/null; \"$@\"; code=$?; cat .env; ls -A; exit $code", "sh"));
        command.addAll(java(envFile));
        Shell.Result result = Shell.run(folder, sandbox.environment(), command.toArray(String[]::new));
        assertEquals("A=1.env\nfiller\n", result.out());
        assertRefused(new Shell.Result(result.exitCode(), "", result.err()), "No space left on device");
    }

    @Test
    void what_is_no_file_is_noticed_before_anything_is_asked() throws IOException {
        assertRefused(create(Files.createDirectory(envFile)), "it is not a file");
        assertRefused(create(Path.of("/dev/null")), "it is not a file");
        Path fifo = folder.resolve("fifo");
        assertEquals(0, Shell.run(folder, Map.of(), "mkfifo", fifo.toString()).exitCode());
        assertRefused(create(fifo), "it is not a file");
        Path loop = Files.createSymbolicLink(folder.resolve("loop"), Path.of("pool"));
        Files.createSymbolicLink(folder.resolve("pool"), Path.of("loop"));
        assertRefused(create(loop), "its symbolic links go round in a circle");
        assertRefused(create(Files.createSymbolicLink(folder.resolve("astray"), Path.of("nowhere/.env"))),
                "no file can be made in its folder");
        assertRefused(create(folder.resolve("nowhere/.env")), "no file can be made in its folder");
    }

    @Test
    void a_second_file_that_cannot_be_written_keeps_the_first_as_it_was() throws IOException {
        Files.writeString(envFile, OLD);
        Cli.Result result = Cli.run(sandbox, "create-branch", "--env-file", envFile.toString(), "--env-file", folder + "/nowhere/.env");
        assertRefused(new Shell.Result(result.exitCode(), result.out(), result.err()), "no file can be made in its folder");
        assertEquals(OLD, Files.readString(envFile));
    }

    @Test
    void a_folder_that_vanishes_meanwhile_is_named_and_the_next_build_goes_on_with_the_branch() throws Exception {
        Path app = Files.createDirectory(folder.resolve("app"));
        sandbox.latency(Duration.ofMillis(300));
        FutureTask<Cli.Result> build = new FutureTask<>(() -> Cli.run(sandbox, "create-branch", "--env-file", app + "/.env"));
        new Thread(build).start();
        while (sandbox.exchanges().isEmpty()) {
            Thread.onSpinWait();
        }
        Files.delete(app);
        assertTrue(build.get().err().endsWith("\nneon-ci: Could not write " + app + "/.env: no such file or folder; mend this, or name another"
                + " file with --env-file.\n"), build.get().err());
        assertEquals(1, build.get().exitCode());

        Files.createDirectory(app);
        assertEquals(0, Cli.run(sandbox, "create-branch", "--env-file", app + "/.env").exitCode());
        assertEquals(written("feature/login").replace("A=1\n", ""), Files.readString(app.resolve(".env")));
        assertEquals(2, sandbox.neon().branches().size());
    }

    @Test
    void what_cannot_be_cleared_away_is_no_reason_to_fail() throws IOException {
        Path app = Files.createDirectory(folder.resolve("app"));
        Path leftOver = Files.createDirectories(app.resolve(".env.neon-ci-1.tmp/full")).getParent();
        Files.setLastModifiedTime(leftOver, FileTime.from(Instant.now().minusSeconds(120)));
        Shell.Result beside = create(app.resolve(".env"));
        assertEquals(0, beside.exitCode(), beside.err());

        Files.setPosixFilePermissions(app, PosixFilePermissions.fromString("-wx------"));
        Shell.Result unlisted = create(app.resolve("another.env"));
        Files.setPosixFilePermissions(app, PosixFilePermissions.fromString("rwx------"));
        assertEquals(0, unlisted.exitCode(), unlisted.err());
    }

    @Test
    void a_link_is_written_through_even_to_a_file_that_is_not_there_yet() throws IOException {
        Path app = Files.createDirectory(folder.resolve("app"));
        Path old = Files.writeString(app.resolve("old.env"), OLD);
        Path link = Files.createSymbolicLink(envFile, Path.of("app/old.env"));
        Path ahead = Files.createSymbolicLink(folder.resolve("ahead"), app.resolve("new.env"));
        for (Path path : List.of(link, ahead)) {
            Shell.Result result = create(path);
            assertEquals(0, result.exitCode(), result.err());
            assertTrue(Files.isSymbolicLink(path));
        }
        assertEquals(written("feature/login"), Files.readString(old));
        assertEquals(written("feature/login").replace("A=1\n", ""), Files.readString(app.resolve("new.env")));
    }

    private void assertRefused(Shell.Result result, String reason) {
        assertTrue(result.err().matches("neon-ci: Could not write \\S+: .*\\Q" + reason + "\\E; mend this, or name another file with"
                + " --env-file\\.\n"), result.err());
        assertEquals(1, result.exitCode());
        assertEquals("", result.out());
        assertEquals(List.of(), sandbox.exchanges());
    }

    /** Begins a build of a branch. What it says is nobody's concern: it is going to be killed. */
    private Process start(String branch) throws IOException {
        List<String> command = new ArrayList<>(java(envFile));
        command.addAll(List.of("--branch-name", branch));
        ProcessBuilder builder = new ProcessBuilder(command)
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .redirectError(ProcessBuilder.Redirect.DISCARD);
        builder.environment().putAll(sandbox.environment());
        return builder.start();
    }

    private void awaitRequests(int count, Process build) {
        while (sandbox.exchanges().size() < count && build.isAlive()) {
            Thread.onSpinWait();
        }
    }

    /** Runs create-branch in a process of its own, for which the modes of files hold, as they do not for root. */
    private Shell.Result create(Path file) {
        List<String> command = new ArrayList<>();
        if (Shell.run(folder, Map.of(), "id", "-u").out().equals("0\n")) {
            command.addAll(List.of("setpriv", "--bounding-set=-all", "--inh-caps=-all"));
        }
        command.addAll(java(file));
        return Shell.run(folder, sandbox.environment(), command.toArray(String[]::new));
    }

    /** Returns the command line of create-branch, as JBang would start it. */
    private static List<String> java(Path file) {
        return List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
                "-Xmx64m", "-cp", System.getProperty("java.class.path"), "NeonCi", "create-branch", "--env-file", file.toString());
    }

    private List<Path> temporaries() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(file -> !file.equals(envFile)).toList();
        }
    }

    /** Returns what the old file becomes. */
    private String written(String branch) {
        String name = SandboxAws.APP_ID + "-" + branch;
        if (!sandbox.neon().hasBranch(name)) {
            return "nothing, for there is no branch";
        }
        String direct = sandbox.neon().connectionString(name);
        String computeId = sandbox.neon().branch(name).computes.get(0).id();
        return "A=1\nDATABASE_URL=\"" + direct.replace(computeId, computeId + "-pooler") + "\"\nDATABASE_URL_UNPOOLED=\"" + direct + "\"\n";
    }
}
