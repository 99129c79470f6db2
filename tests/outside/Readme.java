import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The README as a reader takes it: its blocks to copy, its tables, and the buildspecs that it says how to make of amplify.yml. */
final class Readme {

    static final String TEXT = read("README.md");

    private static final Pattern BLOCK = Pattern.compile("(?ms)^```(\\w*)\n(.*?)^```$");

    private Readme() {
    }

    /** Returns the blocks of a language, each with all its lines. */
    static List<String> blocks(String language) {
        return BLOCK.matcher(TEXT).results().filter(block -> block.group(1).equals(language)).map(block -> block.group(2)).toList();
    }

    /** Returns the first block of a language that has this text in it. */
    static String block(String language, String text) {
        return blocks(language).stream().filter(block -> block.contains(text)).findFirst()
                .orElseThrow(() -> new IllegalStateException("no " + language + " block has " + text));
    }

    /** Returns the rows of the tables under a heading, heads and lines left out, each as the texts of its cells. */
    static List<List<String>> rows(String heading) {
        int begin = TEXT.indexOf("\n" + heading + "\n");
        int end = TEXT.indexOf("\n## ", begin + 1);
        return Pattern.compile("(?m)^\\| (.+) \\|$").matcher(TEXT.substring(begin, end)).results().map(row -> row.group(1))
                .filter(row -> !row.startsWith("---")).skip(1).map(row -> List.of(row.split(" ?\\| ", -1))).toList();
    }

    /** Returns the texts that stand in backticks. */
    static List<String> quoted(String text) {
        return Pattern.compile("`([^`\n]+)`").matcher(text).results().map(code -> code.group(1)).toList();
    }

    /** Returns amplify.yml without its backend, and with the frontend's phases of the README before those that stay. */
    static String frontendOnly() {
        String amplifyYml = read("amplify.yml");
        return "version: 1\n" + block("yaml", "frontend:\n") + amplifyYml.substring(amplifyYml.indexOf("    postBuild:\n"));
    }

    /** Returns the same in a monorepo, with the README's lines for that in the place of those that run neon-ci. */
    static String monorepo() {
        String lines = block("yaml", "jbang ../../neon-ci.java");
        return "version: 1\napplications:\n  - appRoot: apps/web\n" + frontendOnly().replaceFirst("version: 1\n", "")
                .replaceFirst("- .ci/jbang neon-ci.java create-branch.*", literal(lines, "- ../../.ci/jbang ../../neon-ci.java create-branch"))
                .replaceFirst("- .ci/jbang neon-ci.java cleanup-branches.*", literal(lines, "- ../../.ci/jbang ../../neon-ci.java cleanup-branches"))
                .replaceAll("(?m)^", "    ");
    }

    /** Returns the line of a text that begins like this. */
    static String line(String text, String start) {
        return text.lines().filter(line -> line.startsWith(start)).findFirst().orElseThrow();
    }

    /** Returns that line as the replacement of a pattern. */
    static String literal(String text, String start) {
        return Matcher.quoteReplacement(line(text, start));
    }

    private static String read(String file) {
        try {
            return Files.readString(Path.of(file));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
