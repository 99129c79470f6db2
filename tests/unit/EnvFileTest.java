//SOURCES ../../lib/Deadline.java
//SOURCES ../../lib/EnvEntries.java
//SOURCES ../../lib/EnvFile.java
//SOURCES ../../lib/Failure.java
//SOURCES ../../lib/Secret.java
//SOURCES ../sandbox/Shell.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.nio.file.attribute.UserPrincipal;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** How an env file is replaced: whole, with its mode and owner, through links, one run at a time. */
class EnvFileTest {

    private static final String ENTRIES = "DATABASE_URL=\"pooled\"\nDATABASE_URL_UNPOOLED=\"direct\"\n";

    @TempDir
    Path folder;

    private Path file;

    @BeforeEach
    void place() {
        file = folder.resolve(".env");
    }

    @Test
    void a_new_file_is_like_one_of_any_other_program() throws IOException {
        write(file);
        assertEquals(ENTRIES, Files.readString(file));
        assertEquals(List.of(file), files());
        assertEquals(mode(Files.createFile(folder.resolve("another"))), mode(file));
    }

    @Test
    void bytes_that_are_not_utf_8_are_unchanged() throws IOException {
        byte[] rest = new byte[512];
        for (int i = 0; i < rest.length; i++) {
            rest[i] = (byte) (1 + i % 255);
        }
        Files.write(file, rest);
        write(file);
        assertEquals(ENTRIES + new String(rest, StandardCharsets.ISO_8859_1), Files.readString(file, StandardCharsets.ISO_8859_1));
    }

    @ParameterizedTest
    @ValueSource(strings = {"rw-r-----", "rw-------", "rw-r--r--", "rwxrwxrwx", "r--r--r--"})
    void an_existing_file_keeps_its_mode(String mode) throws IOException {
        Files.writeString(file, "A=1\n");
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString(mode));
        write(file);
        assertEquals(mode, mode(file));
        assertEquals(ENTRIES + "A=1\n", Files.readString(file));
    }

    @Test
    void an_existing_file_keeps_its_owner_if_root_writes_it() throws IOException {
        assumeTrue(Shell.isRoot(), "only root can write a file for another user");
        UserPrincipal nobody = file.getFileSystem().getUserPrincipalLookupService().lookupPrincipalByName("nobody");
        Files.writeString(file, "A=1\n");
        Files.setOwner(file, nobody);
        write(file);
        assertEquals(nobody, Files.getOwner(file));
    }

    @Test
    void an_existing_file_is_replaced_and_not_overwritten() throws IOException {
        Files.writeString(file, "A=1\n");
        Path old = Files.createLink(folder.resolve("old"), file);
        write(file);
        assertEquals("A=1\n", Files.readString(old), "a program that has the old file open still reads all of it");
        assertEquals(ENTRIES + "A=1\n", Files.readString(file));
    }

    @Test
    void a_trial_and_a_run_without_a_change_leave_the_file_untouched() throws IOException {
        trial(file);
        assertEquals(List.of(), files());
        write(file);
        FileTime longAgo = FileTime.from(Instant.parse("2020-01-01T00:00:00Z"));
        Files.setLastModifiedTime(file, longAgo);
        Object inode = Files.getAttribute(file, "unix:ino");
        trial(file);
        write(file);
        assertEquals(List.of(file), files());
        assertEquals(ENTRIES, Files.readString(file));
        assertEquals(longAgo, Files.getLastModifiedTime(file));
        assertEquals(inode, Files.getAttribute(file, "unix:ino"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"shared/env", "./shared/../shared/env", "missing", "shared/missing", "link", "absolute"})
    void the_target_of_a_symbolic_link_is_written(String target) throws IOException {
        Path env = Files.writeString(Files.createDirectory(folder.resolve("shared")).resolve("env"), "A=1\n");
        Files.createSymbolicLink(folder.resolve("link"), Path.of("shared/env"));
        Files.createSymbolicLink(folder.resolve("absolute"), folder.resolve("link").toAbsolutePath());
        Files.createSymbolicLink(file, Path.of(target));
        write(file);
        assertTrue(Stream.of(file, folder.resolve("link"), folder.resolve("absolute")).allMatch(Files::isSymbolicLink));
        assertEquals(target.endsWith("missing") ? ENTRIES : ENTRIES + "A=1\n", Files.readString(file));
        assertEquals(target.endsWith("missing") ? "A=1\n" : ENTRIES + "A=1\n", Files.readString(env));
    }

    @Test
    void a_path_that_cannot_be_an_env_file_is_refused() throws IOException {
        assertRefused(Files.createDirectory(folder.resolve("folder")), "it is not a file");
        assertRefused(Path.of("/dev/null"), "it is not a file");
        assertRefused(Path.of("/"), "it is not a file");
        assertEquals(0, Shell.run(folder, Map.of(), "mkfifo", "pipe").exitCode());
        assertRefused(folder.resolve("pipe"), "it is not a file");
        assertRefused(folder.resolve("nowhere/.env"), "its folder does not exist");
        assertRefused(Files.createSymbolicLink(folder.resolve("dangling"), Path.of("nowhere/.env")), "its folder does not exist");
        assertRefused(Files.createSymbolicLink(folder.resolve("loop"), Path.of("loop")), "its symbolic links form a loop");
        assertRefused(Files.writeString(file, "A=1\n", StandardCharsets.UTF_16), "it is not UTF-8 text");
        assertEquals("A=1\n", Files.readString(file, StandardCharsets.UTF_16));
    }

    @ParameterizedTest
    @ValueSource(strings = {"a\"b", "a$b", "a`b", "a\\b", "a\nb", "a\u00e9b"})
    void a_value_that_readers_interpret_is_refused(String value) {
        Failure failure = assertThrows(Failure.class, () -> env(file).write(Map.of("DATABASE_URL", new Secret(value))));
        assertEquals("Could not write " + file + ": a value contains a character that bash or dotenv would interpret; fix this, or name"
                + " another file with --env-file.", failure.getMessage());
        assertEquals(List.of(), files());
    }

    /** A lock from the future is older than a change of the clock. */
    @ParameterizedTest
    @ValueSource(ints = {-120, 120})
    void the_lock_of_a_killed_run_is_deleted_and_nothing_else(int seconds) throws IOException {
        Files.setLastModifiedTime(Files.createFile(lock()), FileTime.from(Instant.now().plusSeconds(seconds)));
        Path notes = Files.writeString(folder.resolve(".env.neon-ci-notes"), "notes");
        Path other = Files.writeString(folder.resolve(".env.local.tmp"), "other");
        write(file);
        assertEquals(List.of(file, other, notes), files());
    }

    @Test
    void a_held_lock_is_printed_once_and_awaited() throws IOException {
        // Almost from the future, so that even a slow machine does not see it as the lock of a killed run.
        Files.setLastModifiedTime(Files.createFile(lock()), FileTime.from(Instant.now().plusSeconds(8)));
        List<String> printed = new ArrayList<>();
        new EnvFile(file, new Deadline(Duration.ofMinutes(5)), line -> {
            printed.add(line);
            delete(lock());
        }).requireWritable(List.of("DATABASE_URL"));
        assertEquals(List.of("Waiting for another run that holds the lock file " + lock() + "."), printed);
    }

    @Test
    void a_lock_that_is_held_until_the_deadline_is_an_error_that_names_it() throws IOException {
        Files.createFile(lock());
        Failure failure = assertThrows(Failure.class, () -> new EnvFile(file, new Deadline(Duration.ofSeconds(-1)), line -> { })
                .requireWritable(List.of("DATABASE_URL")));
        assertEquals("Could not write " + file + ": timed out after --wait, because another run holds the lock file " + lock()
                + "; fix this, or name another file with --env-file.", failure.getMessage());
        assertEquals(List.of(lock()), files());
    }

    private Path lock() {
        return folder.resolve(".env.neon-ci.tmp");
    }

    private static EnvFile env(Path file) {
        return new EnvFile(file, new Deadline(Duration.ofMinutes(5)), line -> { });
    }

    private static void trial(Path file) {
        env(file).requireWritable(List.of("DATABASE_URL"));
    }

    private static void write(Path file) {
        Map<String, Secret> entries = new LinkedHashMap<>();
        entries.put("DATABASE_URL", new Secret("pooled"));
        entries.put("DATABASE_URL_UNPOOLED", new Secret("direct"));
        env(file).write(entries);
    }

    /** Expects the same sentence from the trial and the run, and no lock afterwards. */
    private void assertRefused(Path path, String reason) {
        String sentence = "Could not write " + path + ": " + reason + "; fix this, or name another file with --env-file.";
        assertEquals(sentence, assertThrows(Failure.class, () -> trial(path)).getMessage());
        assertEquals(sentence, assertThrows(Failure.class, () -> write(path)).getMessage());
        assertTrue(Files.notExists(lock()));
    }

    private List<Path> files() {
        try (Stream<Path> files = Files.list(folder)) {
            return files.sorted().toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static void delete(Path file) {
        try {
            Files.delete(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static String mode(Path path) throws IOException {
        return PosixFilePermissions.toString(Files.getPosixFilePermissions(path));
    }
}
