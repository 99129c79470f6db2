import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.time.Instant;
import java.util.Arrays;

/** Reads and writes the JSON of the stand-ins. */
final class SandboxJson {

    private static final ObjectMapper MAPPER = new ObjectMapper();

    private SandboxJson() {
    }

    /** Returns the object of a template in which each {@code %s} is a value. Fields whose value is null are left out. */
    static ObjectNode object(String template, Object... values) {
        ObjectNode object = (ObjectNode) read(template.formatted(Arrays.stream(values).map(SandboxJson::text).toArray()));
        object.properties().removeIf(field -> field.getValue().isNull());
        return object;
    }

    /** Throws IllegalArgumentException if the text is not JSON. */
    static JsonNode read(String text) {
        try {
            return text.isEmpty() ? MAPPER.createObjectNode() : MAPPER.readTree(text);
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException("this is not JSON: " + text, e);
        }
    }

    private static String text(Object value) {
        return MAPPER.valueToTree(value instanceof Instant ? value.toString() : value).toString();
    }
}
