import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The README's parts that tests run or compare: its blocks, tables, inline code, and buildspecs. */
final class Readme {

    /** How a repository that copied the folder runs neon-ci. */
    static final String COMMAND = ".neon-ci/jbang .neon-ci/neon-ci.java";

    static final String TEXT = read("README.md");

    private static final Pattern BLOCK = Pattern.compile("(?ms)^```(\\w*)\n(.*?)^```$");

    private Readme() {
    }

    /** Returns the blocks of a language. */
    static List<String> blocks(String language) {
        return BLOCK.matcher(TEXT).results().filter(block -> block.group(1).equals(language)).map(block -> block.group(2)).toList();
    }

    /** Returns the first block of a language that contains this text. */
    static String block(String language, String text) {
        return first(blocks(language), text);
    }

    /** Returns the rows of the tables under a heading without their heads, each as its cells. */
    static List<List<String>> rows(String heading) {
        int begin = TEXT.indexOf("\n" + heading + "\n");
        int end = TEXT.indexOf("\n## ", begin + 1);
        return Pattern.compile("(?m)^\\| (.+) \\|$").matcher(TEXT.substring(begin, end)).results().map(row -> row.group(1))
                .filter(row -> !row.startsWith("---")).skip(1).map(row -> List.of(row.split(" ?\\| ", -1))).toList();
    }

    /** Returns the inline code of a text. */
    static List<String> quoted(String text) {
        return Pattern.compile("`([^`\n]+)`").matcher(text).results().map(code -> code.group(1)).toList();
    }

    /** Returns the README's first inline code that contains this text. */
    static String quotedWith(String text) {
        return first(quoted(TEXT), text);
    }

    private static String first(List<String> all, String text) {
        return all.stream().filter(part -> part.contains(text)).findFirst()
                .orElseThrow(() -> new IllegalStateException("the README has no " + text));
    }

    /** Returns the whole buildspec of an app without a backend. */
    static String frontend() {
        return block("yaml", "version: 1");
    }

    /** Returns that buildspec with other commands in place of the one that creates the branch: those of the README after this comment. */
    static String frontendFor(String comment) {
        Matcher commands = Pattern.compile("(?m)^# " + comment + ".*\n((?:- .*\n)+)").matcher(block("yaml", "# " + comment));
        if (!commands.find()) {
            throw new IllegalStateException("the README has no case " + comment);
        }
        return frontend().replaceFirst(" *- .*create-branch.*\n", Matcher.quoteReplacement(commands.group(1).indent(8)));
    }

    /** Returns that buildspec for an app in a folder of a monorepo. */
    static String monorepo() {
        return "version: 1\napplications:\n  - appRoot: apps/web\n"
                + frontend().replace("version: 1\n", "").replace(COMMAND, quotedWith("../../.neon-ci/jbang")).indent(4);
    }

    private static String read(String file) {
        try {
            return Files.readString(Path.of(file));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
