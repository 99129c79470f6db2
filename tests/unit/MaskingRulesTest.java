//SOURCES ../../lib/MaskingRules.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Which files of masking rules are accepted, and that an error names the file and the place. */
class MaskingRulesTest {

    private static final String NAMES =
            "\"database_name\":\"neondb\",\"schema_name\":\"public\",\"table_name\":\"users\",\"column_name\":\"email\"";
    private static final String RULE = "{" + NAMES + ",\"masking_function\":\"anon.fake_email()\"}";

    @TempDir
    Path folder;

    /** RULE stands for a whole rule, and NAMES for the four names of one. */
    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            ``                                 | list
            []                                 | list
            null                               | list
            "rules"                            | list
            RULE                               | list
            {"masking_rules":[RULE]}           | list
            [RULE                              | line 1
            [RULE,]                            | line 1
            [RULE] [RULE]                      | line 1
            - database_name: neondb            | line 1
            [RULE,"RULE"]                      | line 1
            [{NAMES,"table_name":"orders","masking_value":"0"}] | line 1
            [RULE,null]                        | rule 2
            [RULE,[RULE]]                      | rule 2
            [RULE,{}]                          | rule 2
            [RULE,RULE,{NAMES}]                | rule 3
            [{"database_name":"neondb"},RULE]  | rule 1
            [{NAMES,"Column_Name":"x"}]        | rule 1
            [{NAMES,"mask_value":"0"}]         | rule 1
            [{NAMES,"masking_value":null}]     | rule 1
            [{NAMES,"masking_value":0}]        | rule 1
            [{NAMES,"masking_value":""}]       | rule 1
            [{NAMES,"masking_function":["a"]}] | rule 1
            [{NAMES,"masking_value":"0","masking_function":"anon.fake_email()"}] | rule 1
            """)
    void refuses_what_could_leave_a_row_unmasked(String content, String words) throws IOException {
        assertRefused(content, words);
    }

    @ParameterizedTest
    @CsvSource({"database_name", "schema_name", "table_name", "column_name"})
    void refuses_a_rule_without_one_of_its_names(String name) throws IOException {
        for (String replacement : new String[] {"\"other\":\"x\"", "\"" + name + "\":\" \"", "\"" + name + "\":7"}) {
            assertRefused("[RULE," + RULE.replaceFirst("\"" + name + "\":\"\\w+\"", replacement) + "]", "rule 2");
        }
    }

    @Test
    void shows_nothing_of_the_content() throws IOException {
        assertFalse(assertRefused("[\n  RULE,\n  {secret}\n]", "line 3").contains("secret"));
    }

    @Test
    void reads_rules_with_or_without_a_byte_order_mark() throws IOException {
        String rules = "[" + RULE + ",{" + NAMES + ",\"masking_value\":\"'it''s gone'\",\"comment\":\"x\"}]";
        for (String start : new String[] {"", "\ufeff"}) {
            assertEquals(rules, MaskingRules.read(file(start + rules)).toString());
        }
    }

    @Test
    void refuses_a_file_that_cannot_be_read() throws IOException {
        Files.write(folder.resolve("latin-1"), new byte[] {'[', '"', (byte) 0xe9, '"', ']'});
        for (String name : new String[] {"nowhere", ".", "latin-1"}) {
            String file = folder.resolve(name).toString();
            String message = assertThrows(Failure.class, () -> MaskingRules.read(file)).getMessage();
            assertTrue(message.contains(file) && message.contains("--masking-rules"), message);
        }
    }

    private String assertRefused(String content, String words) throws IOException {
        String file = file(content.replace("RULE", RULE).replace("NAMES", NAMES));
        String message = assertThrows(Failure.class, () -> MaskingRules.read(file)).getMessage();
        assertTrue(message.contains(file) && message.contains(words), message);
        return message;
    }

    private String file(String content) throws IOException {
        return Files.write(folder.resolve("rules.json"), content.getBytes(StandardCharsets.UTF_8)).toString();
    }
}
