//SOURCES ../../lib/EnvEntries.java
//SOURCES ../../lib/EnvFile.java
//SOURCES ../../lib/Failure.java
//SOURCES ../../lib/Secret.java
//SOURCES ../sandbox/Shell.java

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.nio.file.attribute.UserPrincipal;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What becomes of an env file: its content as a table, and the file that holds it. */
class EnvFileTest {

    private static final String BOTH = "DATABASE_URL=\"pooled\"\nDATABASE_URL_UNPOOLED=\"direct\"\n";

    @TempDir
    Path folder;

    private Path file;

    @BeforeEach
    void place() {
        file = folder.resolve(".env");
    }

    /** Sets {@code URL} to {@code new}, twice. A backslash before n, r, t or s stands for a line feed, carriage return, tab or space. */
    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '~', textBlock = """
            # before                             | after

            # An entry is added at the end, on a line of its own.
            ~~                                   | URL="new"\\n
            A=1\\n                               | A=1\\nURL="new"\\n
            A=1                                  | A=1\\nURL="new"\\n
            A=1\\r\\n                            | A=1\\r\\nURL="new"\\n
            A=1\\r\\nB=2                         | A=1\\r\\nB=2\\nURL="new"\\n
            \\n\\n                               | \\n\\nURL="new"\\n

            # An entry is replaced where it stands.
            A=1\\nURL=old\\nB=2\\n               | A=1\\nURL="new"\\nB=2\\n
            URL=old                              | URL="new"\\n
            URL=\\nA=1\\n                        | URL="new"\\nA=1\\n
            URL=a b c\\nA=1                      | URL="new"\\nA=1
            URL=it's\\nA=it's\\n                 | URL="new"\\nA=it's\\n
            URL="old"\\nA=1\\n                   | URL="new"\\nA=1\\n
            URL='old'\\nA=1\\n                   | URL="new"\\nA=1\\n
            URL=`old`\\nA=1\\n                   | URL="new"\\nA=1\\n
            URL="o'l`d"\\nA=1\\n                 | URL="new"\\nA=1\\n
            URL="a\\\\"b"\\nA=1\\n               | URL="new"\\nA=1\\n
            URL=""\\nA=""\\n                     | URL="new"\\nA=""\\n
            \\r\\nURL=old\\r\\nA=1\\r\\n         | \\r\\nURL="new"\\nA=1\\r\\n
            URL="old"\\r\\nA=1\\r\\n             | URL="new"\\nA=1\\r\\n

            # It keeps what stands before its key and after its value.
            export URL=old\\n                    | export URL="new"\\n
            \\s\\texport\\t\\sURL=old\\n         | \\s\\texport\\t\\sURL="new"\\n
            \\s\\tURL=old\\n                     | \\s\\tURL="new"\\n
            URL = old\\n                         | URL="new"\\n
            URL\\t=\\t"old"\\n                   | URL="new"\\n
            URL: old\\n                          | URL="new"\\n
            URL=old # why\\n                     | URL="new" # why\\n
            URL="old"\\t# it's "why"\\r\\n       | URL="new"\\t# it's "why"\\n
            URL='a # b' # why\\n                 | URL="new" # why\\n
            URL=a#b # why\\n                     | URL="new" # why\\n
            URL=a#b\\n                           | URL="new"\\n
            URL= # why\\n                        | URL="new" # why\\n
            URL=\\t# why\\r\\nA=1                | URL="new"\\t# why\\nA=1

            # A value that goes on over several lines is replaced as a whole.
            URL="a\\nb\\nA=1"\\nB=2\\n           | URL="new"\\nB=2\\n
            URL='a\\r\\nb'\\r\\nB=2\\r\\n        | URL="new"\\nB=2\\r\\n
            URL=`a\\n\\nb` # why\\nB=2\\n        | URL="new" # why\\nB=2\\n
            URL="a\\\\"\\nb"\\nB=2\\n            | URL="new"\\nB=2\\n

            # A quote that does not close belongs to a value of one line.
            URL="old\\nA=1\\n                    | URL="new"\\nA=1\\n
            URL="old\\nA="1"\\n                  | URL="new"\\nA="1"\\n
            A='it's\\nURL=old\\n                 | A='it's\\nURL="new"\\n
            A='C:\\\\'\\nURL=old\\nB='b'\\n      | A='C:\\\\'\\nURL="new"\\nB='b'\\n

            # One of another's that never closes would close at ours, so ours are of the other kind.
            A="b\\nURL=old\\n                    | A="b\\nURL='new'\\n
            A="b\\nB="c"\\n                     | A="b\\nB="c"\\nURL='new'\\n
            A=b"\\nURL=old\\n                    | A=b"\\nURL="new"\\n

            # The same key once: where it first stood.
            URL=1\\nA=1\\nURL=2\\nexport URL=3   | URL="new"\\nA=1\\n
            URL=1\\nURL="2\\n3"\\nA=1\\n         | URL="new"\\nA=1\\n

            # Within the value of another key it is no entry.
            A="1\\nURL=old\\n2"\\n               | A="1\\nURL=old\\n2"\\nURL="new"\\n
            A='1\\nURL=old\\n2'\\nURL=old\\n     | A='1\\nURL=old\\n2'\\nURL="new"\\n
            A=`\\nURL=old\\n`\\nB=1              | A=`\\nURL=old\\n`\\nB=1\\nURL="new"\\n
            A="1\\\\"\\nURL=old\\n"\\n           | A="1\\\\"\\nURL=old\\n"\\nURL="new"\\n
            export A = "\\r\\nURL=old\\r\\n"     | export A = "\\r\\nURL=old\\r\\n"\\nURL="new"\\n

            # Comments and longer keys are not it.
            #URL=old\\n                          | #URL=old\\nURL="new"\\n
            # URL="old\\nURL=old\\n              | # URL="old\\nURL="new"\\n
            \\s #export URL='\\n                 | \\s #export URL='\\nURL="new"\\n
            MY_URL=1\\nURL_2=1\\nURLS=1\\n       | MY_URL=1\\nURL_2=1\\nURLS=1\\nURL="new"\\n
            URL.X=1\\nX.URL=1\\nURL-X=1\\n       | URL.X=1\\nX.URL=1\\nURL-X=1\\nURL="new"\\n
            url=1\\nexportURL=1\\n               | url=1\\nexportURL=1\\nURL="new"\\n
            A=URL=old\\necho URL=old\\n          | A=URL=old\\necho URL=old\\nURL="new"\\n
            URL:old\\nURL\\nÜURL=old\\n          | URL:old\\nURL\\nÜURL=old\\nURL="new"\\n

            # A byte order mark does not become a part of the key, as it would for bash.
            \uFEFF                               | \uFEFF\\nURL="new"\\n
            \uFEFFURL=old\\nA=1\\n               | \uFEFF\\nURL="new"\\nA=1\\n
            \uFEFF\\r\\n# A\\nURL=old\\n           | \uFEFF\\r\\n# A\\nURL="new"\\n
            \uFEFFA=1\\r\\nURL=old\\r\\n         | \uFEFFA=1\\r\\nURL="new"\\n
            no entry                             | no entry\\nURL="new"\\n
            A: 1\\n\\n# A\\nURL=old\\nB=1\\n       | A: 1\\n\\n# A\\nURL="new"\\nB=1\\n

            # Nor does what a backslash at a line's end goes on with, for bash.
            A=C:\\\\                             | A=C:\\\\\\n\\nURL="new"\\n
            A=C:\\\\\\nURL=old\\nB=1\\n          | A=C:\\\\\\n\\nURL="new"\\nB=1\\n
            URL=1\\nA=C:\\\\\\nURL=2\\nB=1         | URL="new"\\nA=C:\\\\\\n\\nB=1
            cd C:\\\\                            | cd C:\\\\\\n\\nURL="new"\\n
            A=C:\\\\\\r\\n                       | A=C:\\\\\\r\\nURL="new"\\n

            # For some a bare carriage return ends a line. What comes after it is not thrown away.
            URL=old\\rA=1\\rB=2\\n               | URL="new"\\nA=1\\rB=2\\n
            URL="old"\\rA=1                      | URL="new"\\nA=1
            URL=1\\rURL=2\\rA=1                  | URL="new"\\nA=1
            A=1\\rURL=old\\rB=2\\n               | A=1\\rURL=old\\rB=2\\nURL="new"\\n
            """)
    void sets_an_entry_and_leaves_the_rest(String before, String after) {
        Map<String, String> entries = Map.of("URL", "new");
        String merged = EnvEntries.merge(unescape(before), entries);
        assertEquals(after, escape(merged));
        assertEquals(after, escape(EnvEntries.merge(merged, entries)), "the second time");
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '~', textBlock = """
            ~~                        | URL="new"\\nURL_UNPOOLED="direct"\\n
            URL_UNPOOLED=1\\nURL=2    | URL_UNPOOLED="direct"\\nURL="new"\\n
            URL_UNPOOLED=1\\nA=1      | URL_UNPOOLED="direct"\\nA=1\\nURL="new"\\n
            URL=1\\nURL=2\\nA=1       | URL="new"\\nA=1\\nURL_UNPOOLED="direct"\\n
            URL="\\nURL_UNPOOLED=1"   | URL="new"\\nURL_UNPOOLED="direct"\\n

            # Only a quote that is still open counts, and it counts for all.
            URL=1\\nA="\\nURL="x"y"\\nB=" | URL="new"\\nA="\\nB="\\nURL_UNPOOLED="direct"\\n
            URL=1\\nA="b\\n           | URL='new'\\nA="b\\nURL_UNPOOLED='direct'\\n
            """)
    void sets_several_entries(String before, String after) {
        Map<String, String> entries = new LinkedHashMap<>();
        entries.put("URL", "new");
        entries.put("URL_UNPOOLED", "direct");
        String merged = EnvEntries.merge(unescape(before), entries);
        assertEquals(after, escape(merged));
        assertEquals(merged, EnvEntries.merge(merged, entries), "the second time");
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '~', textBlock = """
            URL=old B=1               | line 1 goes on after the value of URL; put what follows on its own line
            URL= B=1                  | line 1 goes on after the value of URL; put what follows on its own line
            A=1\\nexport URL="old" B=1 | line 2 goes on after the value of URL; put what follows on its own line
            URL="old" export B=1      | line 1 goes on after the value of URL; put what follows on its own line
            URL=old; B=1              | line 1 goes on after the value of URL; put what follows on its own line
            URL='a\\\\'; B='b' # '       | line 1 goes on after the value of URL; put what follows on its own line
            URL='old'&& B=1           | line 1 goes on after the value of URL; put what follows on its own line
            A="\\nURL=x="old"\\nA="     | quotes that are opened and not closed would take in URL
            A="b\\nB='c\\nURL=old       | quotes that are opened and not closed would take in URL
            """)
    void refuses_a_file_in_which_something_would_be_lost(String before, String reason) {
        assertEquals(reason, assertThrows(Failure.class, () -> EnvEntries.merge(unescape(before), Map.of("URL", "new"))).getMessage());
    }

    @ParameterizedTest
    @ValueSource(strings = {"a b", "a\"b", "a$b", "a`b", "a\\b", "a\nb", "a\rb", "a\tb", "a\0b", "é"})
    void refuses_a_value_that_would_be_misread_without_showing_it(String value) {
        IllegalArgumentException refusal = assertThrows(IllegalArgumentException.class, () -> EnvEntries.merge("", Map.of("URL", value)));
        assertEquals("the value of URL would be misread in an env file", refusal.getMessage());
    }

    @Test
    void makes_a_file_as_any_other_program_would() throws IOException {
        write(file);
        assertEquals(BOTH, Files.readString(file));
        assertEquals(List.of(file), files());
        assertEquals(mode(Files.createFile(folder.resolve("another"))), mode(file));
    }

    @Test
    void leaves_every_byte_of_others_as_it_was_whatever_it_means() throws IOException {
        byte[] rest = new byte[512];
        for (int i = 0; i < rest.length; i++) {
            // No text in UTF-8, and everything but the zero that would make it no text at all.
            rest[i] = (byte) (1 + i % 255);
        }
        Files.write(file, rest);
        write(file);
        assertEquals(new String(rest, StandardCharsets.ISO_8859_1) + "\n" + BOTH, Files.readString(file, StandardCharsets.ISO_8859_1));
    }

    @ParameterizedTest
    @ValueSource(strings = {"rw-r-----", "rw-------", "rw-r--r--", "rwxrwxrwx", "r--r--r--"})
    void keeps_the_mode(String mode) throws IOException {
        Files.writeString(file, "A=1\n");
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString(mode));
        write(file);
        assertEquals(mode, mode(file));
        assertEquals("A=1\n" + BOTH, Files.readString(file));
    }

    @Test
    void leaves_a_file_alone_that_needs_no_change() throws IOException {
        write(file);
        FileTime longAgo = FileTime.from(Instant.parse("2020-01-01T00:00:00Z"));
        Files.setLastModifiedTime(file, longAgo);
        Object inode = Files.getAttribute(file, "unix:ino");
        write(file);
        assertEquals(longAgo, Files.getLastModifiedTime(file));
        assertEquals(inode, Files.getAttribute(file, "unix:ino"));
    }

    @Test
    void replaces_the_file_by_a_whole_new_one() throws IOException {
        Files.writeString(file, "A=1\n");
        Path old = Files.createLink(folder.resolve("old"), file);
        write(file);
        assertEquals("A=1\n", Files.readString(old), "whoever had the old file open still has it whole");
        assertEquals("A=1\n" + BOTH, Files.readString(file));
    }

    @ParameterizedTest
    @ValueSource(strings = {"shared/env", "./shared/../shared/env", "missing", "shared/missing"})
    void writes_through_a_link(String target) throws IOException {
        Files.createDirectory(folder.resolve("shared"));
        Files.writeString(folder.resolve("shared/env"), "A=1\n");
        Files.createSymbolicLink(file, Path.of(target));
        write(file);
        assertEquals(Path.of(target), Files.readSymbolicLink(file));
        assertEquals((target.endsWith("missing") ? "" : "A=1\n") + BOTH, Files.readString(folder.resolve(target)));
    }

    @Test
    void writes_through_links_to_links() throws IOException {
        Path target = Files.writeString(Files.createDirectory(folder.resolve("a")).resolve("env"), "A=1\n");
        Files.createSymbolicLink(folder.resolve("a/link"), Path.of("env"));
        Files.createSymbolicLink(folder.resolve("absolute"), folder.resolve("a/link").toAbsolutePath());
        Files.createSymbolicLink(file, Path.of("absolute"));
        write(file);
        assertEquals("A=1\n" + BOTH, Files.readString(target));
        assertTrue(Stream.of(file, folder.resolve("absolute"), folder.resolve("a/link")).allMatch(Files::isSymbolicLink));
    }

    @Test
    void refuses_links_that_go_round_in_a_circle() throws IOException {
        Files.createSymbolicLink(file, Path.of("other"));
        Files.createSymbolicLink(folder.resolve("other"), Path.of(".env"));
        assertRefused(file, "its symbolic links go round in a circle");
    }

    @Test
    void refuses_what_is_no_file() throws IOException {
        assertRefused(Files.createDirectory(file), "it is not a file");
        assertRefused(Path.of("/dev/null"), "it is not a file");
        assertRefused(Path.of("/"), "it is not a file");
        Path pipe = folder.resolve("pipe");
        assertEquals(0, Shell.run(folder, Map.of(), "mkfifo", pipe.toString()).exitCode());
        assertRefused(pipe, "it is not a file");
    }

    @Test
    void refuses_a_folder_that_is_not_there() throws IOException {
        assertRefused(folder.resolve("nowhere/.env"), "its folder is not there");
        assertRefused(Files.createSymbolicLink(file, Path.of("nowhere/.env")), "its folder is not there");
    }

    @Test
    void refuses_what_is_no_text() throws IOException {
        byte[] utf16 = "A=1\n".getBytes(StandardCharsets.UTF_16);
        Files.write(file, utf16);
        assertRefused(file, "it is not UTF-8 text");
        assertArrayEquals(utf16, Files.readAllBytes(file));
    }

    @Test
    void keeps_the_owner_when_root_writes_for_another() throws IOException {
        Assumptions.assumeTrue(Shell.isRoot(), "only root can write a file for another");
        UserPrincipal nobody = file.getFileSystem().getUserPrincipalLookupService().lookupPrincipalByName("nobody");
        Files.writeString(file, "A=1\n");
        Files.setOwner(file, nobody);
        write(file);
        assertEquals(nobody, Files.getOwner(file));
    }

    /** A lock of the future is one from before the clock was set back. */
    @ParameterizedTest
    @ValueSource(ints = {-120, 120})
    void takes_away_what_a_killed_run_left_and_nothing_of_others(int seconds) throws IOException {
        Files.writeString(folder.resolve(".env.neon-ci-1.tmp"), "left");
        Path lock = Files.createFile(folder.resolve(".env.neon-ci.tmp"));
        Files.setLastModifiedTime(lock, FileTime.from(Instant.now().plusSeconds(seconds)));
        Path notes = Files.writeString(folder.resolve(".env.neon-ci-notes"), "notes");
        Path other = Files.writeString(folder.resolve(".env.local.tmp"), "other");
        write(file);
        assertEquals(List.of(file, other, notes), files());
    }

    @Test
    void a_check_changes_nothing_and_leaves_nothing() throws IOException {
        new EnvFile(file).check(List.of("DATABASE_URL"));
        assertEquals(List.of(), files());
        Files.writeString(file, "A=1\n");
        FileTime modified = Files.getLastModifiedTime(file);
        new EnvFile(file).check(List.of("DATABASE_URL"));
        assertEquals(List.of(file), files());
        assertEquals("A=1\n", Files.readString(file));
        assertEquals(modified, Files.getLastModifiedTime(file));
    }

    private static void write(Path file) {
        Map<String, Secret> entries = new LinkedHashMap<>();
        entries.put("DATABASE_URL", new Secret("pooled"));
        entries.put("DATABASE_URL_UNPOOLED", new Secret("direct"));
        new EnvFile(file).write(entries);
    }

    /** Refused with one sentence, by the check, before anything is created elsewhere, as by the writing; neither leaves anything. */
    private void assertRefused(Path path, String reason) {
        String sentence = "Could not write " + path + ": " + reason + "; mend this, or name another file with --env-file.";
        assertEquals(sentence, assertThrows(Failure.class, () -> new EnvFile(path).check(List.of("DATABASE_URL"))).getMessage());
        assertEquals(sentence, assertThrows(Failure.class, () -> write(path)).getMessage());
        assertFalse(files().stream().anyMatch(left -> left.toString().endsWith(".tmp")));
    }

    private List<Path> files() {
        try (Stream<Path> files = Files.list(folder)) {
            return files.sorted().toList();
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    private static String mode(Path path) throws IOException {
        return PosixFilePermissions.toString(Files.getPosixFilePermissions(path));
    }

    /** Makes of a row's text what EnvFile works on, where a character stands for a byte of the file. */
    private static String unescape(String text) {
        return new String(text.translateEscapes().getBytes(StandardCharsets.UTF_8), StandardCharsets.ISO_8859_1);
    }

    private static String escape(String content) {
        return new String(content.getBytes(StandardCharsets.ISO_8859_1), StandardCharsets.UTF_8)
                .replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
                .replaceAll("(?<=^|\\\\t|\\\\n|\\\\r) |(?<=\\\\t) ", "\\\\s").replaceAll(" $", "\\\\s");
    }
}
