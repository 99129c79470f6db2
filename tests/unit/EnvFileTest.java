//SOURCES ../../lib/EnvEntries.java
//SOURCES ../../lib/EnvFile.java
//SOURCES ../../lib/Failure.java
//SOURCES ../../lib/Secret.java
//SOURCES ../sandbox/Shell.java

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.nio.file.attribute.UserPrincipal;
import java.time.Duration;
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

    /** Sets {@code URL} to {@code new}, twice. A backslash before n, r, t, f or s stands for a character; @ for the line that is set. */
    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '~', textBlock = """
            # before                             | after

            # An entry is set at the top; all else stays.
            ~~                                   | @
            A=1\\n                               | @A=1\\n
            A=1                                  | @A=1
            A=1\\r\\nB=2                         | @A=1\\r\\nB=2
            \\n\\n                               | @\\n\\n
            #!/bin/sh\\n# A\\n                   | @#!/bin/sh\\n# A\\n
            no entry                             | @no entry

            # One that is there goes, wherever it is and however it is written.
            A=1\\nURL=old\\nB=2\\n               | @A=1\\nB=2\\n
            URL=1\\nA=1\\nURL=2\\nURL=3          | @A=1\\n
            URL=                                 | @
            URL=a b c # why B=1\\nA=1            | @A=1
            URL=it's\\nA=it's\\n                 | @A=it's\\n
            URL="o'l`d"\\nURL=''\\nURL=`a`\\nA=1 | @A=1
            URL="a\\\\"b"\\nA=""\\n              | @A=""\\n
            URL="a # b=c d=e" # why\\nA=1        | @A=1
            URL=h://h/d?a=b&c=d\\nA              | @A
            URL=j:s://h;database=x;user=y\\nA    | @A
            \\s\\tURL=old\\nURL\\t=\\t"old"\\nA    | @A
            URL: old\\nURL:old\\nURL+=old\\nA     | @A
            'URL'="old"\\nURL\\nURL # why\\nA     | @A
            \uFEFFA=1\\n\uFEFFURL=old\\nA       | \uFEFF\\n@A=1\\nA
            \u00A0URL=1\\nURL\u00A0=1\\n\\fURL=1  | @
            A=1\\rURL=old\\rB=2\\n               | @A=1\\rB=2\\n
            URL="old"\\r\\nA=1\\r\\n             | @A=1\\r\\n

            # What bash exports stays exported.
            export URL=old\\nA                   | export @A
            A\\n\\s\\texport\\t\\sURL=old\\n        | export @A\\n
            declare -x URL="old"\\nURL=old\\n    | export @
            URL=old\\nexport URL\\n              | export @
            export\u00A0URL=old\\n              | export @

            # A value that goes on over several lines goes as a whole.
            URL="a\\nb\\nA=1"\\nB=2\\n           | @B=2\\n
            URL='a\\r\\nb'\\r\\nB=2\\r\\n        | @B=2\\r\\n
            URL=`a\\n\\nb` # why\\nB=2\\n        | @B=2\\n
            URL="a\\\\"\\nb"\\nB=2\\n            | @B=2\\n

            # A quote that does not close belongs to a value of one line.
            URL="old\\nA=1\\n                    | @A=1\\n
            URL="old\\nA="1"\\n                  | @A="1"\\n
            A='it's\\nURL=old\\n                 | @A='it's\\n
            A="b\\nURL=old\\nB="3"\\n            | @A="b\\nB="3"\\n

            # Comments and longer keys are not it, nor is what another's value says on its line.
            #URL=old\\n\\s # export URL='\\n     | @#URL=old\\n\\s # export URL='\\n
            # a; URL=old\\n                      | @# a; URL=old\\n
            MY_URL=1\\nURL_2=1\\nURLS=1\\n       | @MY_URL=1\\nURL_2=1\\nURLS=1\\n
            URL.X=1\\nX.URL=1\\nURL-X=1\\n       | @URL.X=1\\nX.URL=1\\nURL-X=1\\n
            url=1\\nexportURL=1\\nÜURL=1\\n      | @url=1\\nexportURL=1\\nÜURL=1\\n
            A=URL=old\\nA="-e URL=old"\\nURL x  | @A=URL=old\\nA="-e URL=old"\\nURL x

            # A byte order mark does not become a part of the key, as it would for bash.
            \uFEFF                               | \uFEFF\\n@
            \uFEFF\\n                            | \uFEFF\\n@
            \uFEFFURL=old\\nA=1\\n               | \uFEFF\\n@A=1\\n
            \uFEFF\\r\\n# A\\nURL=old\\n         | \uFEFF\\n@\\r\\n# A\\n

            # What went on with our line does not go on with the next.
            A=C:\\\\\\nURL=1\\nURL=2\\nB=1        | @A=C:\\\\\\n#\\nB=1
            A= \\nURL=old\\nB=1                  | @A= \\n#\\nB=1
            A:\\r\\nURL=old\\nB=1                | @A:\\r\\n#\\nB=1
            """)
    void sets_an_entry_and_leaves_the_rest(String before, String after) {
        Map<String, String> entries = Map.of("URL", "new");
        String merged = EnvEntries.merge(unescape(before), entries);
        String expected = unescape(after.replace("@", "URL=\"new\"\\n"));
        assertEquals(expected, merged);
        assertEquals(expected, EnvEntries.merge(merged, entries), "the second time");
        assertTrue(EnvEntries.sets(merged, "URL"));
    }

    @Test
    void sets_several_entries_in_their_order() {
        Map<String, String> entries = new LinkedHashMap<>();
        entries.put("URL", "new");
        entries.put("URL_UNPOOLED", "direct");
        for (String before : List.of("A", "URL_UNPOOLED=1\nURL=2\nA", "URL_UNPOOLED=1\nA", "URL=1\nA", "URL=\"\nURL_UNPOOLED=1\nA")) {
            assertEquals("URL=\"new\"\nURL_UNPOOLED=\"direct\"\nA", EnvEntries.merge(before, entries));
        }
    }

    /** What bash, or a reader of values of several lines, would take for something else too. */
    @ParameterizedTest
    @ValueSource(strings = {"A=1\nURL=old B=1", "A=1\nURL= B=1", "A=1\nexport URL=\"old\" B=1", "A=1\nURL=\"old\" export B=1",
        "A=1\nURL=old; B=1", "A=1\nURL='a\\'; B='b' # '", "A=1\nURL='old'&& B=1", "A=1\nB=1 URL=old", "A=1\nexport B=1 URL=old",
        "A=1\nB=1; export URL=old", "A=1\nif x; then URL=old; fi", "A=\"\nURL=old\n\"", "A='\nURL=old\n' # why\n", "A=`\nURL=old\n`\nURL=old"})
    void refuses_a_file_in_which_something_would_be_lost(String before) {
        assertEquals("line 2 sets one of URL along with something else; put it on a line of its own",
                assertThrows(Failure.class, () -> EnvEntries.merge(before, Map.of("URL", "new"))).getMessage());
    }

    @ParameterizedTest
    @ValueSource(strings = {" ", "\t", "\r", "\n", "\u00c2\u00a0", "\"", "'", "`", "\\\"", "\\'", "=", ": ", "; ", "x ", "#", "export ", "A='\\'\n"})
    void takes_no_time_over_long_files(String part) {
        for (String start : List.of("", "A=", "URL=", "A=\"", "URL=\"x\";")) {
            String content = start + part.repeat(100_000) + "\n";
            assertTimeoutPreemptively(Duration.ofSeconds(2), () -> {
                try {
                    EnvEntries.merge(content, Map.of("URL", "new"));
                } catch (Failure e) {
                    assertTrue(e.getMessage().startsWith("line "));
                }
            });
        }
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
        assertEquals(BOTH + new String(rest, StandardCharsets.ISO_8859_1), Files.readString(file, StandardCharsets.ISO_8859_1));
    }

    @ParameterizedTest
    @ValueSource(strings = {"rw-r-----", "rw-------", "rw-r--r--", "rwxrwxrwx", "r--r--r--"})
    void keeps_the_mode(String mode) throws IOException {
        Files.writeString(file, "A=1\n");
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString(mode));
        write(file);
        assertEquals(mode, mode(file));
        assertEquals(BOTH + "A=1\n", Files.readString(file));
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
        assertEquals(BOTH + "A=1\n", Files.readString(file));
    }

    @ParameterizedTest
    @ValueSource(strings = {"shared/env", "./shared/../shared/env", "missing", "shared/missing"})
    void writes_through_a_link(String target) throws IOException {
        Files.createDirectory(folder.resolve("shared"));
        Files.writeString(folder.resolve("shared/env"), "A=1\n");
        Files.createSymbolicLink(file, Path.of(target));
        write(file);
        assertEquals(Path.of(target), Files.readSymbolicLink(file));
        assertEquals(BOTH + (target.endsWith("missing") ? "" : "A=1\n"), Files.readString(folder.resolve(target)));
    }

    @Test
    void writes_through_links_to_links() throws IOException {
        Path target = Files.writeString(Files.createDirectory(folder.resolve("a")).resolve("env"), "A=1\n");
        Files.createSymbolicLink(folder.resolve("a/link"), Path.of("env"));
        Files.createSymbolicLink(folder.resolve("absolute"), folder.resolve("a/link").toAbsolutePath());
        Files.createSymbolicLink(file, Path.of("absolute"));
        write(file);
        assertEquals(BOTH + "A=1\n", Files.readString(target));
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
        Path lock = Files.createFile(folder.resolve(".env.neon-ci.tmp"));
        Files.setLastModifiedTime(lock, FileTime.from(Instant.now().plusSeconds(seconds)));
        Path notes = Files.writeString(folder.resolve(".env.neon-ci-notes"), "notes");
        Path other = Files.writeString(folder.resolve(".env.local.tmp"), "other");
        write(file);
        assertEquals(List.of(file, other, notes), files());
    }

    @Test
    void a_check_changes_nothing_and_leaves_nothing() throws IOException {
        new EnvFile(file).requireWritable(List.of("DATABASE_URL"));
        assertEquals(List.of(), files());
        Files.writeString(file, "A=1\n");
        FileTime modified = Files.getLastModifiedTime(file);
        new EnvFile(file).requireWritable(List.of("DATABASE_URL"));
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
        assertEquals(sentence, assertThrows(Failure.class, () -> new EnvFile(path).requireWritable(List.of("DATABASE_URL"))).getMessage());
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
}
