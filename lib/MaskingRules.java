import com.fasterxml.jackson.core.JacksonException;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.node.ArrayNode;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;

/**
 * A file of masking rules, in Neon's own form. It is believed only where nothing in it can be misread: a rule that masks another column
 * than its writer meant, or none, shows people's data to whoever opens a preview.
 */
final class MaskingRules {

    /** What says which column a rule is for. */
    private static final List<String> NAMES = List.of("database_name", "schema_name", "table_name", "column_name");

    /** What says how the column is masked; https://neon.com/docs/workflows/data-anonymization-api has it that a rule takes one of them. */
    private static final List<String> WAYS = List.of("masking_function", "masking_value");

    /** Of two fields of the same name in a rule the last would silently count. */
    private static final ObjectReader READER = Http.JSON.reader()
            .with(DeserializationFeature.FAIL_ON_TRAILING_TOKENS, DeserializationFeature.FAIL_ON_READING_DUP_TREE_KEY);

    private MaskingRules() {
    }

    /**
     * Reads and checks a file.
     *
     * @throws Failure if it cannot be read, or not every rule in it is one that Neon can follow
     */
    static ArrayNode read(String file) {
        try {
            return parse(file, Files.readAllBytes(Path.of(file)));
        } catch (IOException e) {
            throw failure(file, e instanceof NoSuchFileException ? "there is no such file"
                    : e instanceof AccessDeniedException ? "permission denied" : String.valueOf(e.getMessage()));
        }
    }

    /** Returns the rules that a file with this content holds. */
    static ArrayNode parse(String file, byte[] content) {
        JsonNode rules;
        try {
            rules = READER.readTree(content);
        } catch (JacksonException e) {
            // What Jackson says in full shows the content.
            throw failure(file, "it is not JSON" + (e.getLocation() == null ? "" : ", see line " + e.getLocation().getLineNr()));
        } catch (IOException e) {
            throw failure(file, String.valueOf(e.getMessage()));
        }
        if (!(rules instanceof ArrayNode list) || list.isEmpty()) {
            throw failure(file, "it holds no list of rules, such as [{...}]");
        }
        for (int i = 0; i < list.size(); i++) {
            check(list.get(i), file, "rule " + (i + 1));
        }
        return list;
    }

    /** Returns which columns the rules are for. */
    static Set<List<String>> columns(Iterable<JsonNode> rules) {
        Set<List<String>> columns = new HashSet<>();
        rules.forEach(rule -> columns.add(NAMES.stream().map(name -> rule.path(name).asText("")).toList()));
        return columns;
    }

    private static void check(JsonNode rule, String file, String which) {
        NAMES.stream().filter(name -> !isText(rule.path(name))).findFirst().ifPresent(name -> {
            throw failure(file, which + " has no " + name + " in quotes");
        });
        List<String> ways = WAYS.stream().filter(rule::hasNonNull).toList();
        if (ways.size() != 1) {
            throw failure(file, which + " has " + (ways.isEmpty() ? "neither masking_function nor" : "both masking_function and")
                    + " masking_value");
        }
        if (!isText(rule.path(ways.get(0)))) {
            throw failure(file, which + " has no " + ways.get(0) + " in quotes");
        }
    }

    private static boolean isText(JsonNode node) {
        return node.isTextual() && !node.asText().isBlank();
    }

    private static Failure failure(String file, String reason) {
        return new Failure("Could not take masking rules from " + file + ": " + reason + "; mend this, or name another file with"
                + " --masking-rules.");
    }
}
