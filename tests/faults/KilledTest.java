//SOURCES ../command/InSandbox.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardWatchEventKinds;
import java.nio.file.WatchService;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Builds that are killed, and env files that cannot be written: each in its own process. */
@Tag("slow")
class KilledTest extends InSandbox {

    private static final int KILLS = 40;
    private static final String OLD = "A=1\nDATABASE_URL=old\n";

    @Test
    void a_killed_build_leaves_the_old_or_the_new_file_and_the_next_build_continues() throws Exception {
        long seed = Long.getLong("neon-ci.seed", System.nanoTime());
        System.err.println("KilledTest: " + KILLS + " kills, -Dneon-ci.seed=" + seed);
        Random random = new Random(seed);
        int wasOld = 0;
        for (int kill = 0; kill < KILLS; kill++) {
            Files.writeString(envFile, OLD);
            Files.setPosixFilePermissions(envFile, PosixFilePermissions.fromString("rw-r-----"));
            // Every second build is the first one of its branch.
            String branch = kill % 2 == 0 ? "feature/login" : "first-" + kill;
            killAtSomeMoment(branch, kill / 2 % 4, random);

            String left = Files.readString(envFile);
            wasOld += left.equals(OLD) ? 1 : 0;
            assertTrue(left.equals(OLD) || left.equals(written(branch)), "kill " + kill + " left a file that is neither old nor new");
            for (Path temporary : temporaries()) {
                Set<PosixFilePermission> modes = Files.getPosixFilePermissions(temporary);
                assertTrue(Files.size(temporary) == 0 || Files.getPosixFilePermissions(envFile).containsAll(modes), () -> temporary
                        + " has more readers than the env file");
                // A recent one could belong to another run.
                Files.setLastModifiedTime(temporary, FileTime.from(Instant.now().minusSeconds(120)));
            }
            assertEquals(0, create("--branch-name", branch).exitCode());
            assertEquals(written(branch), Files.readString(envFile));
            assertEquals("rw-r-----", PosixFilePermissions.toString(Files.getPosixFilePermissions(envFile)));
            assertEquals(List.of(), temporaries());
            assertEquals(1, sandbox.neon().branches().stream().filter(made -> made.name.equals(SandboxAws.APP_ID + "-" + branch)).count());
        }
        assertTrue(wasOld > 0 && wasOld < KILLS, wasOld + " of " + KILLS + " builds were killed before they wrote");
    }

    @Test
    void a_build_killed_during_masking_writes_nothing_and_the_next_build_continues() throws Exception {
        String rules = rules().toString();
        Files.writeString(envFile, OLD);
        sandbox.neon().maskingTakes(Duration.ZERO, 3);
        // No build ends.
        sandbox.fail("GET", "/connection_uri\\?pooled=true$", -1, Fault.hangBefore());
        for (String state : List.of("created", "initialized", "anonymizing", "anonymized")) {
            sandbox.forgetExchanges();
            Process build = start("--branch-name", state, "--masking-rules", rules);
            sandbox.await(exchanges -> !build.isAlive() || exchanges.stream()
                    .anyMatch(exchange -> exchange.responseBody().contains("\"state\":\"" + state + "\"")));
            assertTrue(build.isAlive());
            build.destroyForcibly().waitFor();
            assertEquals(OLD, Files.readString(envFile));
        }
        sandbox.failNoMore();
        for (String state : List.of("created", "initialized", "anonymizing", "anonymized")) {
            assertEquals(0, create("--branch-name", state, "--masking-rules", rules).exitCode(), state);
            assertEquals(written(state), Files.readString(envFile));
            assertEquals("anonymized", sandbox.neon().branch(SandboxAws.APP_ID + "-" + state).masking.state);
        }
        assertEquals(5, sandbox.neon().branches().size());
    }

    /** Kills a build while it starts, while it asks Neon, while there is a temporary file, or when the env file is new. */
    private void killAtSomeMoment(String branch, int moment, Random random) throws Exception {
        sandbox.forgetExchanges();
        try (WatchService changes = folder.getFileSystem().newWatchService()) {
            folder.register(changes, StandardWatchEventKinds.ENTRY_CREATE);
            Process build = start("--branch-name", branch);
            int requests = random.nextInt(7);
            switch (moment) {
                case 0 -> build.waitFor(random.nextInt(600), TimeUnit.MILLISECONDS);
                case 1 -> {
                    sandbox.await(exchanges -> exchanges.size() >= requests || !build.isAlive());
                    build.waitFor(random.nextInt(20_000), TimeUnit.MICROSECONDS);
                }
                // The temporary file of the check, the one that becomes the env file, and the env file.
                case 2 -> awaitNewFiles(changes, 1 + random.nextInt(3), build);
                default -> sandbox.await(exchanges -> !content().equals(OLD));
            }
            build.destroyForcibly().waitFor();
        }
    }

    private Process start(String... more) throws IOException {
        List<String> command = new ArrayList<>(List.of(Shell.java("create-branch", "--env-file", envFile.toString())));
        command.addAll(List.of(more));
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.DISCARD);
        builder.environment().putAll(sandbox.environment());
        return builder.start();
    }

    private static void awaitNewFiles(WatchService changes, int count, Process build) throws InterruptedException {
        int made = 0;
        while (made < count && build.isAlive()) {
            var key = changes.poll(100, TimeUnit.MILLISECONDS);
            if (key != null) {
                made += key.pollEvents().size();
                key.reset();
            }
        }
    }

    @Test
    void a_folder_or_a_file_without_permission_is_noticed_before_any_request() throws IOException {
        Path readOnly = Files.createDirectory(folder.resolve("read-only"));
        Files.setPosixFilePermissions(readOnly, PosixFilePermissions.fromString("r-xr-xr-x"));
        assertRefused(create(readOnly.resolve(".env")), "permission denied");
        Files.writeString(envFile, OLD);
        Files.setPosixFilePermissions(envFile, PosixFilePermissions.fromString("-wx-wx-wx"));
        assertRefused(create(envFile), "permission denied");
        Path local = Files.move(envFile, folder.resolve(".env.local"));
        assertEquals("neon-ci: Could not read " + local + ": permission denied; fix this or remove the file, because it can override the"
                + " written one.\n", create(envFile).err());
        assertEquals(List.of(), sandbox.exchanges());
    }

    @Test
    void a_full_disk_is_noticed_before_any_request() {
        String fill = "mount -t tmpfs -o size=64k tmpfs . && cd \"$PWD\" && printf A=1 > .env && { cat /dev/zero > filler || true; }";
        Shell.Result trial = Shell.run(folder, Map.of(), "sh", "-c", "unshare -rm sh -c '" + fill + "'");
        Assumptions.assumeTrue(trial.exitCode() == 0, () -> "this user cannot mount a disk to fill: " + trial.err().strip());
        Shell.Result result = create(envFile, "unshare", "-rm", "sh", "-c",
                fill + " 2> /dev/null; \"$@\"; code=$?; cat .env; ls -A; exit $code", "sh");
        assertEquals("A=1.env\nfiller\n", result.out());
        assertRefused(new Shell.Result(result.exitCode(), "", result.err()), "No space left on device");
    }

    @Test
    void a_bind_mounted_file_gets_the_new_content() throws IOException {
        Path outside = Files.writeString(folder.resolve("outside"), OLD);
        Files.createFile(envFile);
        String mount = "mount --bind outside .env";
        Shell.Result trial = Shell.run(folder, Map.of(), "unshare", "-rm", "sh", "-c", mount);
        Assumptions.assumeTrue(trial.exitCode() == 0, () -> "this user cannot mount a file: " + trial.err().strip());
        Shell.Result result = create(envFile, "unshare", "-rm", "sh", "-c", mount + "; \"$@\"", "sh");
        assertEquals(0, result.exitCode(), result.err());
        assertEquals(written("feature/login"), Files.readString(outside));
        assertEquals(List.of(outside), temporaries());
    }

    @ParameterizedTest
    @CsvSource({"rw-r--r--, Read-only file system", "r--r--r--, permission denied"})
    void a_read_only_bind_mount_is_noticed_before_any_request(String mode, String reason) throws IOException {
        Path outside = Files.writeString(folder.resolve("outside"), OLD);
        Files.setPosixFilePermissions(outside, PosixFilePermissions.fromString(mode));
        Files.createFile(envFile);
        String mount = "mount --bind outside .env && mount -o remount,bind,ro .env";
        Shell.Result trial = Shell.run(folder, Map.of(), "unshare", "-rm", "sh", "-c", mount);
        Assumptions.assumeTrue(trial.exitCode() == 0, () -> "this user cannot mount a file: " + trial.err().strip());
        assertRefused(create(envFile, "unshare", "-rm", "sh", "-c", mount + "; setpriv --bounding-set=-all --inh-caps=-all \"$@\"", "sh"),
                reason);
    }

    @ParameterizedTest
    @ValueSource(strings = {"i", "a"})
    void an_immutable_or_append_only_file_is_noticed_before_any_request(String attribute) throws IOException {
        Files.writeString(envFile, OLD);
        Shell.Result change = Shell.run(folder, Map.of(), "chattr", "+" + attribute, ".env");
        Assumptions.assumeTrue(change.exitCode() == 0, () -> "this user cannot set the attribute here: " + change.err().strip());
        try {
            assertRefused(create(envFile, "env"), "Operation not permitted");
        } finally {
            Shell.run(folder, Map.of(), "chattr", "-" + attribute, ".env");
        }
    }

    @Test
    void a_second_file_that_cannot_be_written_keeps_the_first_as_it_was() throws IOException {
        Files.writeString(envFile, OLD);
        Cli.Result result = create("--env-file", folder + "/nowhere/.env");
        assertRefused(new Shell.Result(result.exitCode(), result.out(), result.err()), "its folder does not exist");
        assertEquals(OLD, Files.readString(envFile));
    }

    @Test
    void a_folder_that_vanishes_during_a_build_is_named_and_the_next_build_reuses_the_branch() throws IOException {
        Path app = Files.createDirectory(folder.resolve("app"));
        sandbox.when("POST", "/branches$", () -> app.toFile().delete());
        Cli.Result build = Cli.create(sandbox, app.resolve(".env"));
        assertEquals("neon-ci: Could not write " + app + "/.env: its folder does not exist; fix this, or name another file with"
                + " --env-file.\n", build.err());
        assertEquals(1, build.exitCode());

        Files.createDirectory(app);
        assertEquals(0, Cli.create(sandbox, app.resolve(".env")).exitCode());
        assertEquals(Cli.written(sandbox, Cli.BRANCH), Files.readString(app.resolve(".env")));
        assertEquals(2, sandbox.neon().branches().size());
    }

    @Test
    void a_file_is_written_where_its_owner_cannot_be_kept() throws IOException {
        Assumptions.assumeTrue(Shell.isRoot(), "only root can make a file of another's");
        Files.writeString(envFile, OLD);
        Files.setPosixFilePermissions(envFile, PosixFilePermissions.fromString("rw-r--r--"));
        Files.setOwner(envFile, folder.getFileSystem().getUserPrincipalLookupService().lookupPrincipalByName("nobody"));
        Shell.Result result = create(envFile);
        assertEquals(0, result.exitCode(), result.err());
        assertEquals(written("feature/login"), Files.readString(envFile));
        assertEquals("rw-r--r--", PosixFilePermissions.toString(Files.getPosixFilePermissions(envFile)));
    }

    private void assertRefused(Shell.Result result, String reason) {
        assertTrue(result.err().matches("neon-ci: Could not write \\S+: .*\\Q" + reason + "\\E; fix this, or name another file with"
                + " --env-file\\.\n"), result.err());
        assertEquals(1, result.exitCode());
        assertEquals("", result.out());
        assertEquals(List.of(), sandbox.exchanges());
    }

    /** Runs create-branch in a process to which file modes apply even if root runs the tests. */
    private Shell.Result create(Path file) {
        return Shell.isRoot() ? create(file, "setpriv", "--bounding-set=-all", "--inh-caps=-all") : create(file, new String[0]);
    }

    private Shell.Result create(Path file, String... before) {
        List<String> command = new ArrayList<>(List.of(before));
        command.addAll(List.of(Shell.java("create-branch", "--env-file", file.toString())));
        return Shell.run(folder, sandbox.environment(), command.toArray(String[]::new));
    }

    private String content() {
        try {
            return Files.readString(envFile);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private List<Path> temporaries() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(file -> !file.equals(envFile)).toList();
        }
    }

    /** Returns the expected content. */
    private String written(String branch) {
        String name = SandboxAws.APP_ID + "-" + branch;
        return sandbox.neon().hasBranch(name) ? Cli.written(sandbox, name) + "A=1\n" : "nothing: there is no branch";
    }
}
