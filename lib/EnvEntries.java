import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * The text of an env file such as {@code .env}: sets entries in it and leaves every other byte as it was.
 *
 * <p>One character of a text stands for one byte.
 */
final class EnvEntries {

    /** An entry in the widest grammar of the field's parsers: npm's dotenv also takes {@code export}, spaces around =, and a colon. */
    private static final Pattern ENTRY = Pattern.compile(
            "(?<start>[ \\t]*(?:export[ \\t]+)?)(?<key>[\\w.-]+)(?:[ \\t]*=|:(?=[ \\t]))"
            // A quoted value may go on over several lines: to the next quote of its kind, which has to end the entry.
            + "(?<value>[ \\t]*(?>(?<quote>[\"'`])(?s:.*?)(?<!\\\\)\\k<quote>)(?=[ \\t\\x0b\\f]*(?:#|[\\r\\n]|\\z))"
            // In any other, quotes are a part of a value of one line.
            + "|[^\\r\\n]*?(?=[ \\t]+#|[\\r\\n]|\\z))"
            + "(?<comment>(?:[ \\t]+#[^\\r\\n]*)?)[^\\r\\n]*"
            // The end of a line also for those to whom a bare carriage return is one: what comes after it is another entry.
            + "(?<end>\\r+\\n?|\\n|\\z)");

    private static final Pattern OPEN_QUOTE = Pattern.compile("\\s*([\"'`])(?!.*\\1)", Pattern.DOTALL);

    /** What bash would do after an assignment, on the same line: another assignment, or another command. */
    private static final Pattern MORE = Pattern.compile("[ \\t](export[ \\t]+)?[A-Za-z_]\\w*=|(;|&&|\\|\\|)[ \\t]+\\S|[\"'`](;|&&|\\|\\|)");

    /** What may stand between quotes of either kind and be read as itself by dotenv, dotenv-expand, node and bash alike. */
    private static final Pattern PLAIN_VALUE = Pattern.compile("[\\x21-\\x7e&&[^\"'$`\\\\]]*");

    /** UTF-8's byte order mark, decoded byte by byte. */
    private static final String BYTE_ORDER_MARK = "\u00ef\u00bb\u00bf";

    private EnvEntries() {
    }

    /**
     * An entry, from where it begins to behind its line's end.
     *
     * @param start what stands before the key
     * @param value as it is written, with its quotes
     * @param comment what stands behind the value, from the white space on
     */
    private record Entry(int begin, int end, String start, String key, String value, String comment) {

        /** Returns the quote that the value opens and does not close, or nothing. */
        String openQuote() {
            Matcher quote = OPEN_QUOTE.matcher(value);
            return quote.lookingAt() ? quote.group(1) : "";
        }

        /** Tells whether the line has more to say than its value. */
        boolean goesOn() {
            return MORE.matcher(value.replaceFirst("(?s)^\\s*([\"'`]).*?(?=\\1)", "")).find();
        }
    }

    static boolean sets(String content, String key) {
        return entries(content, Set.of(key)).stream().anyMatch(entry -> entry.key().equals(key));
    }

    /**
     * Returns the content with the values set: each where its key first stood, or else at the end; further entries of the same key are
     * dropped. The values stand in quotes, because a bare {@code &} ends a command when bash sources the file. A line that is set ends
     * in a bare line feed, because bash takes a carriage return for a part of the value.
     *
     * @throws Failure if there is no way to set them without a loss; its message names the line alone
     */
    static String merge(String content, Map<String, String> values) {
        for (String quote : List.of("\"", "'")) {
            String merged = merge(content, values, quote);
            if (isRead(merged, values.keySet(), quote)) {
                return merged;
            }
        }
        throw new Failure("quotes that are opened and not closed would take in " + String.join(" and ", values.keySet()));
    }

    private static String merge(String content, Map<String, String> values, String quote) {
        StringBuilder merged = new StringBuilder();
        Map<String, String> left = new LinkedHashMap<>(values);
        int copied = 0;
        for (Entry entry : entries(content, values.keySet())) {
            if (!values.containsKey(entry.key())) {
                continue;
            }
            if (entry.goesOn()) {
                long line = 1 + content.substring(0, entry.begin()).chars().filter(c -> c == '\n').count();
                throw new Failure("line " + line + " goes on after the value of " + entry.key() + "; put what follows on its own line");
            }
            separate(merged.append(content, copied, entry.begin()));
            copied = entry.end();
            String value = left.remove(entry.key());
            if (value != null) {
                merged.append(entry.start()).append(assignment(entry.key(), value, quote)).append(entry.comment()).append('\n');
            }
        }
        merged.append(content, copied, content.length());
        for (Map.Entry<String, String> added : left.entrySet()) {
            separate(merged);
            merged.append(assignment(added.getKey(), added.getValue(), quote)).append('\n');
        }
        return merged.toString();
    }

    /**
     * Tells whether all keys are read, set in these quotes. A value before that opens one and never closes it would end at ours, for node
     * and others, and take the keys between with it; and what was replaced may have held the end of another value, which then goes on.
     */
    private static boolean isRead(String merged, Set<String> keys, String quote) {
        Set<String> left = new HashSet<>(keys);
        for (Entry entry : entries(merged, keys)) {
            left.remove(entry.key());
            if (!left.isEmpty() && entry.openQuote().equals(quote)) {
                return false;
            }
        }
        return left.isEmpty();
    }

    /** Finds all entries. One of these keys ends at a bare carriage return too, since what comes after it may be another of them. */
    private static List<Entry> entries(String content, Set<String> keys) {
        List<Entry> entries = new ArrayList<>();
        Matcher entry = ENTRY.matcher(content);
        int position = content.startsWith(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK.length() : 0;
        while (position < content.length()) {
            boolean isEntry = entry.region(position, content.length()).lookingAt();
            int lineFeed = content.indexOf('\n', isEntry ? entry.start("end") : position);
            int end = isEntry && keys.contains(entry.group("key")) ? entry.end() : lineFeed < 0 ? content.length() : lineFeed + 1;
            if (isEntry) {
                entries.add(new Entry(position, end, entry.group("start"), entry.group("key"), entry.group("value"),
                        entry.group("comment")));
            }
            position = end;
        }
        return entries;
    }

    /** Keeps our line apart from what would join it: a line without an end, a byte order mark, and for bash a backslash at a line's end. */
    private static void separate(StringBuilder merged) {
        if (merged.length() > 0 && merged.charAt(merged.length() - 1) != '\n') {
            merged.append('\n');
        }
        if (merged.toString().endsWith("\\\n")) {
            merged.append('\n');
        }
    }

    private static String assignment(String key, String value, String quote) {
        if (!PLAIN_VALUE.matcher(value).matches()) {
            throw new IllegalArgumentException("the value of " + key + " would be misread in an env file");
        }
        return key + "=" + quote + value + quote;
    }
}
