//DEPS org.quicktheories:quicktheories:0.26
//SOURCES ../../lib/EnvEntries.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.quicktheories.generators.Generate.booleans;
import static org.quicktheories.generators.Generate.oneOf;
import static org.quicktheories.generators.Generate.pick;
import static org.quicktheories.generators.SourceDSL.integers;
import static org.quicktheories.generators.SourceDSL.lists;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.quicktheories.QuickTheory;
import org.quicktheories.core.Gen;

/**
 * What holds for any env file, whatever bytes it is made of: only what is set changes. A failure is shrunk, and printed with the seed it
 * comes from.
 */
class EnvFilePropertiesTest {

    private static final int TRIES = 5_000;
    private static final Map<String, String> ENTRIES = entries();
    private static final String BYTE_ORDER_MARK = "\u00ef\u00bb\u00bf";

    /** What parsers stumble over; the rest of a text is bytes of any value, and so mostly no UTF-8. */
    private static final List<String> TOKENS = List.of("URL=old", "URL_UNPOOLED=\"old\"", "\"", "'", "`", "\\\"", "\\'", "\\`", "\\", "#",
            " # ", "=", " = ", ": ", "export ", " ", "\t", "\r", "$(x)", "${URL}", "é", BYTE_ORDER_MARK);

    /**
     * A line of an env file, or several if it holds a value of several.
     *
     * @param key what it sets, null if that is none of the entries
     * @param after what becomes of it where its key stands for the first time
     */
    private record Piece(String text, String key, String after) {
    }

    private record File(boolean hasMark, List<Piece> pieces, String lineEnd, boolean endsLine) {

        String content() {
            StringBuilder content = new StringBuilder(hasMark ? BYTE_ORDER_MARK : "");
            for (int i = 0; i < pieces.size(); i++) {
                content.append(pieces.get(i).text()).append(lineEnd(i));
            }
            return content.toString();
        }

        /** Returns what is not ours of that which stands before this piece. */
        String othersBefore(int end) {
            StringBuilder others = new StringBuilder(hasMark ? BYTE_ORDER_MARK : "");
            IntStream.range(0, end).filter(i -> pieces.get(i).key() == null)
                    .forEach(i -> others.append(pieces.get(i).text()).append(lineEnd(i)));
            return others.toString();
        }

        /** Returns where this key is set first, or the end of the file. */
        int first(String key) {
            return IntStream.range(0, pieces.size()).filter(i -> key.equals(pieces.get(i).key())).findFirst().orElse(pieces.size());
        }

        private String lineEnd(int piece) {
            return endsLine || piece < pieces.size() - 1 ? lineEnd : "";
        }

        @Override
        public String toString() {
            return escape(content());
        }
    }

    private final Map<String, Integer> met = new TreeMap<>();

    @Test
    void only_what_is_set_changes() {
        check(files(), file -> merge(file.content(), raw -> {
            String merged = withDoubleQuotes(raw);
            assertSame(file.othersBefore(file.pieces().size()), withoutOurs(merged));
            for (String key : ENTRIES.keySet()) {
                int line = merged.lastIndexOf('\n', merged.indexOf(entry(key))) + 1;
                int first = file.first(key);
                String expected = first < file.pieces().size() ? file.pieces().get(first).after() : entry(key);
                assertTrue(merged.startsWith(expected + "\n", line), () -> escape(merged));
                assertSame(file.othersBefore(first), withoutOurs(merged.substring(0, line)));
            }
            count("files", true);
            count("byte order marks", file.hasMark());
            count("last lines without an end", !file.endsLine() && !file.pieces().isEmpty());
            count("replaced entries", file.pieces().stream().anyMatch(piece -> piece.key() != null));
            count("added entries", file.pieces().stream().noneMatch(piece -> "URL".equals(piece.key())));
            count("duplicates", file.pieces().stream().filter(piece -> "URL".equals(piece.key())).count() > 1);
            count("values of several lines", file.pieces().stream().anyMatch(piece -> piece.key() != null && piece.text().contains("\n")));
            count("entries in the value of another", file.pieces().stream().anyMatch(
                    piece -> piece.key() == null && piece.text().matches("(?s)[^#]*=[ \t]*[\"'`].*\n(export )?URL=old\r?\n.*")));
            count("lines that end in a backslash", file.content().contains("\\\n"));
        }));
    }

    @Test
    void setting_it_again_changes_nothing() {
        check(oneOf(files().map(File::content), anything()), content -> merge(content, merged -> {
            assertEquals(escape(merged), escape(EnvEntries.merge(merged, ENTRIES)));
            count("files", true);
            count("changed files", !merged.equals(content));
        }));
    }

    @Test
    void nothing_before_the_first_entry_changes_whatever_it_is() {
        check(anything(), content -> merge(content, raw -> {
            String merged = withDoubleQuotes(raw);
            int first = content.indexOf("URL");
            String before = first < 0 ? content : content.substring(0, content.lastIndexOf('\n', first) + 1);
            assertEquals(escape(before), escape(merged.substring(0, before.length())));
            if (first < 0) {
                String added = merged.substring(before.length());
                assertTrue(added.matches("\n{0,2}URL=\"new\"\nURL_UNPOOLED=\"direct\"\n"), escape(merged));
            }
            count("files", true);
            count("files without the key", first < 0);
            count("files with it later on", before.length() > 0 && first >= 0);
        }));
    }

    @Test
    void each_entry_stands_there_once_and_nothing_is_made_up() {
        check(anything(), content -> merge(content, raw -> {
            String merged = withDoubleQuotes(raw);
            String rest = merged;
            for (String key : ENTRIES.keySet()) {
                int at = rest.indexOf(entry(key));
                assertTrue(at >= 0, () -> escape(merged));
                rest = rest.substring(0, at) + rest.substring(at + entry(key).length());
                assertEquals(-1, rest.indexOf(entry(key)), () -> escape(merged));
            }
            int position = 0;
            for (char c : rest.replace("\n", "").toCharArray()) {
                position = content.indexOf(c, position) + 1;
                assertTrue(position > 0, () -> escape(merged));
            }
            count("files", true);
        }));
    }

    /** A property says something only if it has met what it speaks of. */
    @AfterEach
    void met_enough() {
        met.forEach((what, times) -> assertTrue(times >= TRIES / 100, () -> "met only " + times + " " + what + " in " + met));
        assertTrue(met.getOrDefault("files", 0) >= 1_000, met::toString);
    }

    private void count(String what, boolean isThere) {
        met.merge(what, isThere ? 1 : 0, Integer::sum);
    }

    private static <T> void check(Gen<T> source, Consumer<T> property) {
        QuickTheory.qt().withExamples(TRIES).forAll(source).checkAssert(property);
    }

    private static Gen<File> files() {
        Gen<List<Piece>> pieces = lists().of(oneOf(ours(), foreign(), values(), lines())).ofSizeBetween(0, 8);
        return booleans().zip(pieces, pick(List.of("\n", "\r\n")), booleans(), File::new);
    }

    /** An entry that is to be set. */
    private static Gen<Piece> ours() {
        Gen<String> value = oneOf(pick(List.of("old", "a b", "it's", "a#b", "\"a\"b", "$(x)", "\\", "old\\")),
                quoted(pick(List.of("old", "", "a # b", "a\nURL=old\nb", "\r\n", "\\\""))));
        Gen<String> start = pick(List.of("", "", "export ", " \t", "\texport\t "));
        return start.zip(pick(List.copyOf(ENTRIES.keySet())), pick(List.of("=", "=", " = ", "\t=", ": ")), value, comments(),
                (before, key, equals, old, end) -> new Piece(before + key + equals + old + end, key, before + entry(key) + end));
    }

    /** An entry of others on one line, with a value of any bytes. */
    private static Gen<Piece> foreign() {
        return keys().zip(pick(List.of("=", "=", " = ", ": ")), text(), (key, equals, value) -> foreign(key + equals + "x" + value));
    }

    /** An entry of others with a quoted value, which may go on over several lines and hold what looks like an entry of ours. */
    private static Gen<Piece> values() {
        Gen<String> content = lists().of(oneOf(text(), pick(List.of("URL=old", "export URL=old", "#", "", "x")))).ofSizeBetween(0, 5)
                .zip(pick(List.of("\n", "\r\n")), (several, end) -> String.join(end, several));
        return keys().zip(pick(List.of("=", " = ", ": ")), quoted(content), comments(),
                (key, equals, value, end) -> foreign(key + equals + value + end));
    }

    /** A comment, or a line that is nothing at all. */
    private static Gen<Piece> lines() {
        Gen<String> starts = pick(List.of("#", " # ", "#URL=", "echo ", "é", "URL ", "URL", "=", "\"", "  "));
        Gen<String> whole = pick(List.of("", " ", "URL", "URL:old", "echo URL=old", "éURL=old", "'"));
        return starts.zip(text(), (start, text) -> start + ";" + text).mix(whole).map(EnvFilePropertiesTest::foreign);
    }

    private static Piece foreign(String text) {
        return new Piece(text, null, null);
    }

    private static Gen<String> keys() {
        return pick(List.of("A", "MY_URL", "URL2", "URL_", "URL.X", "X.URL", "URL-X", "url", "export A", " \tURLS"));
    }

    private static Gen<String> comments() {
        return oneOf(pick(List.of("", "")), text().map(text -> " \t# " + text.replace("\r", "").replaceAll("\\\\+\\z", "")));
    }

    private static Gen<String> quoted(Gen<String> content) {
        return pick(List.of("\"", "'", "`")).zip(content, (quote, text) -> {
            String inside = text.replaceAll("(?s)(?<!\\\\)" + quote, "").replaceAll("\\\\+$", "");
            return quote + inside + quote;
        });
    }

    /** Any bytes but those of a line feed. */
    private static Gen<String> text() {
        Gen<String> bytes = integers().between(1, 255).map(b -> b == '\n' ? "" : Character.toString(b));
        return lists().of(oneOf(pick(TOKENS), bytes)).ofSizeBetween(0, 6).map(tokens -> String.join("", tokens));
    }

    /** Any bytes at all, without a thought of what an env file is. */
    private static Gen<String> anything() {
        return lists().of(oneOf(text(), pick(List.of("\n", "\r\n", "\n\n", "A=", "A=\"", "URL=", "URL=\"", "URL='"))))
                .ofSizeBetween(0, 10).map(texts -> String.join("", texts)).describedAs(EnvFilePropertiesTest::escape);
    }

    private static String withoutOurs(String merged) {
        return merged.replaceAll("(?md)^.*(URL=\"new\"|URL_UNPOOLED=\"direct\").*\n", "");
    }

    /**
     * Others' lines are the same, byte for byte, but that a last line may get an end, and that one which would go on with our next line is
     * kept apart by an empty line: a byte order mark, and a line that ends in a backslash.
     */
    private static void assertSame(String others, String left) {
        String mayBeKeptApart = "(^" + BYTE_ORDER_MARK + "|\\\\\n)\n+";
        String expected = others.replaceAll(mayBeKeptApart, "$1");
        String actual = left.replaceAll(mayBeKeptApart, "$1");
        boolean hasNewEnd = !expected.endsWith("\n") && actual.equals(expected + "\n");
        assertEquals(escape(expected), escape(hasNewEnd ? expected : actual));
    }

    /** Checks what becomes of a file. One that cannot take our entries without a loss is refused, with a word on why. */
    private static void merge(String content, Consumer<String> property) {
        String merged;
        try {
            merged = EnvEntries.merge(content, ENTRIES);
        } catch (Failure e) {
            assertTrue(e.getMessage().matches("line \\d+ goes on after the value of URL\\w*; put what follows on its own line"
                    + "|quotes that are opened and not closed would take in URL and URL_UNPOOLED"), e.getMessage());
            return;
        }
        property.accept(merged);
    }

    /** Our values stand in single quotes where a double one is open. */
    private static String withDoubleQuotes(String merged) {
        return merged.replace("='new'", "=\"new\"").replace("='direct'", "=\"direct\"");
    }

    private static Map<String, String> entries() {
        Map<String, String> entries = new LinkedHashMap<>();
        entries.put("URL", "new");
        entries.put("URL_UNPOOLED", "direct");
        return entries;
    }

    private static String entry(String key) {
        return key + "=\"" + ENTRIES.get(key) + "\"";
    }

    /** Shows bytes, so that a failure can be read and typed. */
    private static String escape(String content) {
        StringBuilder escaped = new StringBuilder();
        content.chars().forEach(c -> escaped.append(c == '\n' ? "\\n\n" : c == '\\' ? "\\\\" : c >= ' ' && c < 0x7f ? Character.toString(c)
                : String.format("\\x%02x", c)));
        return escaped.toString();
    }
}
