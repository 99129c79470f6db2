//SOURCES ../../lib/MaskingRules.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.node.ArrayNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Files of masking rules: what is taken, and what is refused with the file's name and the rule's number. */
class MaskingRulesTest {

    @TempDir
    Path folder;

    private static final String EMAIL = """
            {"database_name":"neondb","schema_name":"public","table_name":"users","column_name":"email",\
            "masking_function":"anon.fake_email()"}""";

    /** In the table, {@code EMAIL} stands for a whole rule, and {@code PLACE} for the four names of one. */
    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            ``                                  | it holds no list of rules, such as [{...}]
            []                                  | it holds no list of rules, such as [{...}]
            null                                | it holds no list of rules, such as [{...}]
            "rules"                             | it holds no list of rules, such as [{...}]
            {"masking_rules":[EMAIL]}           | it holds no list of rules, such as [{...}]
            EMAIL                               | it holds no list of rules, such as [{...}]
            [EMAIL                              | it is not JSON, see line 1
            [EMAIL,]                            | it is not JSON, see line 1
            [EMAIL] [EMAIL]                     | it is not JSON, see line 1
            - database_name: neondb             | it is not JSON, see line 1
            [EMAIL,"EMAIL"]                     | it is not JSON, see line 1
            [EMAIL,null]                        | rule 2 needs database_name, schema_name, table_name, column_name, and either masking_function or masking_value, each in quotes
            [EMAIL,[EMAIL]]                     | rule 2 needs database_name, schema_name, table_name, column_name, and either masking_function or masking_value, each in quotes
            [EMAIL,{}]                          | rule 2 needs database_name, schema_name, table_name, column_name, and either masking_function or masking_value, each in quotes
            [{"database_name":"neondb"},EMAIL]  | rule 1 needs database_name, schema_name, table_name, column_name, and either masking_function or masking_value, each in quotes
            [{PLACE,"table_name":"orders","masking_value":"0"}] | it is not JSON, see line 1
            [{PLACE,"Column_Name":"x"}]         | rule 1 needs database_name, schema_name, table_name, column_name, and either masking_function or masking_value, each in quotes
            [EMAIL,EMAIL,{PLACE}]               | rule 3 needs database_name, schema_name, table_name, column_name, and either masking_function or masking_value, each in quotes
            [{PLACE,"mask_value":"0"}]          | rule 1 needs database_name, schema_name, table_name, column_name, and either masking_function or masking_value, each in quotes
            [{PLACE,"masking_value":null}]      | rule 1 needs database_name, schema_name, table_name, column_name, and either masking_function or masking_value, each in quotes
            [{PLACE,"masking_value":"0","masking_function":"anon.fake_email()"}] | rule 1 needs database_name, schema_name, table_name, column_name, and either masking_function or masking_value, each in quotes
            [{PLACE,"masking_value":0}]         | rule 1 needs database_name, schema_name, table_name, column_name, and either masking_function or masking_value, each in quotes
            [{PLACE,"masking_value":""}]        | rule 1 needs database_name, schema_name, table_name, column_name, and either masking_function or masking_value, each in quotes
            [{PLACE,"masking_function":["a"]}]  | rule 1 needs database_name, schema_name, table_name, column_name, and either masking_function or masking_value, each in quotes
            """)
    void refuses_what_could_leave_a_row_unmasked(String content, String reason) throws IOException {
        assertRefused(bytes(content), reason);
    }

    @ParameterizedTest
    @CsvSource({"database_name", "schema_name", "table_name", "column_name"})
    void refuses_a_rule_without_one_of_its_names(String name) throws IOException {
        String reason = "rule 2 needs database_name, schema_name, table_name, column_name, and either masking_function or masking_value, each in quotes";
        assertRefused(bytes("[EMAIL," + EMAIL.replace("\"" + name + "\"", "\"other\"") + "]"), reason);
        assertRefused(bytes("[EMAIL," + EMAIL.replaceFirst("\"" + name + "\":\"\\w+\"", "\"" + name + "\":\" \"") + "]"), reason);
        assertRefused(bytes("[EMAIL," + EMAIL.replaceFirst("\"" + name + "\":\"\\w+\"", "\"" + name + "\":7") + "]"), reason);
    }

    @Test
    void refuses_what_is_no_text() throws IOException {
        assertRefused(new byte[] {'[', '"', (byte) 0xe9, '"', ']'}, "it is not JSON, see line 1");
    }

    @Test
    void names_the_line_and_shows_nothing_of_it() throws IOException {
        assertRefused(bytes("[\n  EMAIL,\n  {secret}\n]"), "it is not JSON, see line 3");
    }

    @Test
    void takes_rules_as_they_are() throws IOException {
        String rules = "[EMAIL,{PLACE,\"masking_value\":\"'it''s gone'\",\"comment\":\"x\"}]";
        Path file = Files.write(folder.resolve("rules.json"), bytes(rules));
        assertEquals(new String(bytes(rules), StandardCharsets.UTF_8), MaskingRules.read(file.toString()).toString());
        // Windows PowerShell begins a file so.
        ArrayNode rulesRead = MaskingRules.read(file.toString());
        Files.write(file, bytes("\ufeff" + rules));
        assertEquals(rulesRead, MaskingRules.read(file.toString()));
    }

    @Test
    void says_why_a_file_cannot_be_read() {
        Failure missing = assertThrows(Failure.class, () -> MaskingRules.read("nowhere.json"));
        assertEquals("Could not take masking rules from nowhere.json: there is no such file; mend this, or name another file with"
                + " --masking-rules.", missing.getMessage());
        Failure noFile = assertThrows(Failure.class, () -> MaskingRules.read(folder.toString()));
        assertTrue(noFile.getMessage().startsWith("Could not take masking rules from " + folder + ": "), noFile.getMessage());
    }

    private void assertRefused(byte[] content, String reason) throws IOException {
        Path file = folder.resolve("rules.json");
        Files.write(file, content);
        Failure failure = assertThrows(Failure.class, () -> MaskingRules.read(file.toString()));
        assertEquals("Could not take masking rules from " + file + ": " + reason + "; mend this, or name another file with"
                + " --masking-rules.", failure.getMessage());
    }

    private static byte[] bytes(String content) {
        String place = EMAIL.replaceFirst("^\\{", "").replaceFirst(",\"masking_function.*", "");
        return content.replace("EMAIL", EMAIL).replace("PLACE", place).getBytes(StandardCharsets.UTF_8);
    }
}
