//DEPS org.quicktheories:quicktheories:0.26
//SOURCES ../../lib/EnvEntries.java
//SOURCES ../../lib/Failure.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.quicktheories.QuickTheory.qt;
import static org.quicktheories.generators.Generate.oneOf;
import static org.quicktheories.generators.Generate.pick;
import static org.quicktheories.generators.SourceDSL.integers;
import static org.quicktheories.generators.SourceDSL.lists;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.BiConsumer;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.quicktheories.core.Gen;

/** The content of an env file after a run, as a table and for any bytes. */
class EnvEntriesTest {

    private static final Map<String, String> URL = Map.of("URL", "new");
    private static final Map<String, String> BOTH = new TreeMap<>(Map.of("URL", "new", "URL_UNPOOLED", "direct"));

    /** What parsers stumble over. The rest of a generated file is bytes of any value. */
    private static final List<String> TOKENS = List.of("URL=old", "URL_UNPOOLED=\"old\"", "\"", "'", "`", "\\\"", "\\", "#", " # ", "=", " = ",
            ": ", "export ", " ", "\t", "\r", "$(x)", "${URL}", "é", "\u00ef\u00bb\u00bf", "\n", "\n", "\r\n", "\nA=", "\nA=\"", "\nURL='");

    /** Sets {@code URL} to {@code new}, twice. A backslash before n, r, t, f or s stands for a character, @ for our line. */
    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '~', textBlock = """
            # before                             | after

            # Our entry is first, and the rest is unchanged.
            ~~                                   | @
            A=1                                  | @A=1
            A=1\\r\\nB=2                         | @A=1\\r\\nB=2
            #!/bin/sh\\n# A\\n                   | @#!/bin/sh\\n# A\\n

            # Other entries of the key are removed, in any place and any form.
            A=1\\nURL=old\\nB=2\\n               | @A=1\\nB=2\\n
            URL=1\\nA=1\\nURL=2\\nURL=3          | @A=1\\n
            URL=a b c # why B=1\\nA=1            | @A=1
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
            # A\u2028URL=old\\nB                 | @# A\u2028\\nB
            # A\\rURL=old\\nB                     | @# A\\r\\nB
            # A\\rURL=old\\nB                     | @# A\\r\\nB

            # An exported entry stays exported.
            export URL=old\\nA                   | export @A
            A\\n\\s\\texport\\t\\sURL=old\\n        | export @A\\n
            declare -x URL="old"\\nURL=old\\n    | export @
            URL=old\\nexport URL\\n              | export @
            export\u00A0URL=old\\n              | export @

            # A value of several lines is removed with all its lines.
            URL="a\\nb\\nA=1"\\nB=2\\n           | @B=2\\n
            URL=`a\\n\\nb` # why\\nB=2\\n        | @B=2\\n
            URL="a\\\\"\\nb"\\nB=2\\n            | @B=2\\n

            # A quote that is never closed is part of a value of one line.
            URL="old\\nA=1\\n                    | @A=1\\n
            URL="old\\nA="1"\\n                  | @A="1"\\n
            A='it's\\nURL=old\\n                 | @A='it's\\n
            A="b\\nURL=old\\nB="3"\\n            | @A="b\\nB="3"\\n

            # Comments, longer keys and text in other values are unchanged.
            #URL=old\\n\\s # export URL='\\n     | @#URL=old\\n\\s # export URL='\\n
            # a; URL=old\\n                      | @# a; URL=old\\n
            MY_URL=1\\nURL_2=1\\nURLS=1\\n       | @MY_URL=1\\nURL_2=1\\nURLS=1\\n
            URL.X=1\\nX.URL=1\\nURL-X=1\\n       | @URL.X=1\\nX.URL=1\\nURL-X=1\\n
            url=1\\nexportURL=1\\nÜURL=1\\n      | @url=1\\nexportURL=1\\nÜURL=1\\n
            A=URL=old\\nA="-e URL=old"\\nURL x  | @A=URL=old\\nA="-e URL=old"\\nURL x

            # A byte order mark does not become part of the key.
            \uFEFF                               | \uFEFF\\n@
            \uFEFF\\n                            | \uFEFF\\n@
            \uFEFFURL=old\\nA=1\\n               | \uFEFF\\n@A=1\\n
            \uFEFF\\r\\n# A\\nURL=old\\n         | \uFEFF\\n@\\r\\n# A\\n

            # A line that continued with ours does not continue with the next one.
            A=C:\\\\\\nURL=1\\nURL=2\\nB=1        | @A=C:\\\\\\n#\\nB=1
            A= \\n\\nURL=old\\nB=1               | @A= \\n\\n#\\nB=1
            A:\\r\\nURL=old\\nB=1                | @A:\\r\\n#\\nB=1
            """)
    void our_entry_is_first_and_the_only_one_and_the_rest_is_unchanged(String before, String after) {
        String merged = EnvEntries.merge(bytes(before), URL);
        assertEquals(bytes(after.replace("@", "URL=\"new\"\\n")), merged);
        assertEquals(merged, EnvEntries.merge(merged, URL), "the second time");
    }

    /** bash, or a reader of values of several lines, finds more than one thing here. */
    @ParameterizedTest
    @ValueSource(strings = {"A=1\nURL=old B=1", "A=1\nURL= B=1", "A=1\nexport URL=\"old\" B=1", "A=1\nURL=\"old\" export B=1",
        "A=1\nURL=old; B=1", "A=1\nURL='a\\'; B='b' # '", "A=1\nURL='old'&& B=1", "A=1\nB=1 URL=old", "A=1\nexport B=1 URL=old",
        "A=1\nB;URL=old", "A=1\nif x; then URL=old; fi", "A=1\nunset B URL", "\nA=\"\nURL=old\n\"", "\nA='\nURL=old\n' # why\n"})
    void a_line_is_refused_if_something_else_would_be_lost(String before) {
        assertRefused("line 2 contains URL together with something else", before);
    }

    @Test
    void a_name_that_a_carriage_return_splits_is_refused() {
        assertRefused("a carriage return splits URL", "A=1\nU\rRL=old");
    }

    private static void assertRefused(String reason, String content) {
        assertEquals(reason, assertThrows(Failure.class, () -> EnvEntries.merge(content, URL)).getMessage());
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '~', textBlock = """
            ~ ~               | 50000
            \u00a0            | 50000
            =                 | 50000
            ~; ~              | 50000
            ~unset ~          | 50000
            x                 | 500000
            "                 | 30000
            '                 | 30000
            \\\\"             | 30000
            A="x\\n           | 30000
            \\n               | 10000
            A=\\\\\\nURL=1\\n | 10000
            """)
    void a_long_file_takes_little_time(String part, int times) {
        for (String start : List.of("", "A=\"", "URL=\"x\";")) {
            assertTimeoutPreemptively(Duration.ofMinutes(1), () -> mergeOrRefuse(start + bytes(part).repeat(times) + "\n"));
        }
    }

    @Test
    void our_entries_are_first_and_the_only_ones_whatever_the_file_is() {
        check((content, merged) -> {
            String rest = merged.replaceFirst("^(\u00ef\u00bb\u00bf\n)?(export )?URL=\"new\"\n(export )?URL_UNPOOLED=\"direct\"\n", "");
            assertNotEquals(rest, merged);
            BOTH.keySet().forEach(key -> assertFalse(EnvEntries.entries(rest).containsKey(key), () -> escape(rest)));
        });
    }

    @Test
    void a_second_run_changes_nothing_whatever_the_file_is() {
        check((content, merged) -> assertEquals(escape(merged), escape(EnvEntries.merge(merged, BOTH))));
    }

    @Test
    void nothing_else_changes_whatever_the_file_is() {
        check((content, merged) -> {
            String rest = merged.substring(merged.indexOf("direct\"\n") + "direct\"\n".length());
            if (!content.contains("URL")) {
                assertEquals(escape(content.replaceFirst("^\u00ef\u00bb\u00bf\n?", "")), escape(rest));
            }
            int position = 0;
            for (char c : rest.replaceAll("(?m)^#\n", "").toCharArray()) {
                position = content.indexOf(c, position) + 1;
                assertTrue(position > 0, () -> escape(rest));
            }
        });
    }

    /** Checks a property of a file's content before and after, unless the file is refused. */
    private static void check(BiConsumer<String, String> property) {
        Gen<String> anyByte = integers().between(1, 255).map(Character::toString);
        qt().withExamples(5_000).forAll(lists().of(oneOf(pick(TOKENS), anyByte)).ofSizeBetween(0, 20).map(tokens -> String.join("", tokens))
                .describedAs(EnvEntriesTest::escape)).checkAssert(content -> {
                    String merged = mergeOrRefuse(content);
                    if (!merged.isEmpty()) {
                        property.accept(content, merged);
                    }
                });
    }

    /** Returns an empty text for a file that is refused. */
    private static String mergeOrRefuse(String content) {
        try {
            return EnvEntries.merge(content, BOTH);
        } catch (Failure e) {
            assertTrue(e.getMessage().matches("(line \\d+ contains|a carriage return splits) URL or URL_UNPOOLED.*"), e.getMessage());
            return "";
        }
    }

    private static String escape(String content) {
        return content.chars().mapToObj(c -> c >= ' ' && c < 0x7f ? Character.toString(c) : String.format("\\x%02x", c))
                .collect(Collectors.joining());
    }

    /** Resolves escapes, and makes each byte in UTF-8 a character. */
    private static String bytes(String text) {
        return new String(text.translateEscapes().getBytes(StandardCharsets.UTF_8), StandardCharsets.ISO_8859_1);
    }
}
