//SOURCES ../../lib/Login.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.URI;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Which role and database are chosen, and which connection strings are accepted for them. */
class LoginTest {

    private static final Login LOGIN = new Login("app+1", "neondb");
    private static final NeonApi.Compute COMPUTE = new NeonApi.Compute("ep-dry-sun-1", "ep-dry-sun-1.c-3.eu-central-1.aws.neon.tech");

    @ParameterizedTest(name = "{0} --role-name {1}: {2}")
    @CsvSource(delimiter = '|', textBlock = """
            neondb_owner                                |               | neondb_owner
            alice                                       |               | alice
            alice neondb_owner                          |               | neondb_owner
            alice authenticator anonymous authenticated |               | alice
            alice bob                                   | bob           | bob
            alice authenticator                         | authenticator | authenticator
            """)
    void chooses_the_name_that_is_given_or_the_usual_one_or_the_only_one(String names, String given, String chosen) {
        assertEquals(chosen, choose(names, given));
    }

    @ParameterizedTest(name = "{0} --role-name {1}: {2}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            alice bob               |        | 'alice', 'bob'
            alice bob               | carol  | 'carol'
            alice                   | Alice  | 'Alice'
            authenticator anonymous |        | none
            """)
    void does_not_guess(String names, String given, String words) {
        String message = assertThrows(Failure.class, () -> choose(names, given)).getMessage();
        assertTrue(message.contains("role") && message.contains("'main'") && message.contains(words), message);
    }

    private static String choose(String names, String given) {
        return Login.choose("role", given, Login.DEFAULT_ROLE, List.of(names.split(" ")), "main");
    }

    /** HOST stands for the compute's own host, and POOLER for that of its pooler. */
    @ParameterizedTest(name = "pooled {0}: {1}")
    @CsvSource({
        "false, postgresql://app+1:pw@HOST/neondb?sslmode=require&channel_binding=require",
        "false, postgres://app+1:pw@HOST:5432/neondb",
        "false, postgresql://app%2B1:p%40w@HOST/neon%64b",
        "true,  postgresql://app+1:pw@POOLER/neondb?sslmode=require"})
    void accepts_the_connection_string_of_the_branch(boolean isPooled, String uri) {
        assertEquals("", mismatch(uri, isPooled));
    }

    @ParameterizedTest(name = "{1}: pooled {0}, {2}")
    @CsvSource({
        "false, host,     postgresql://app+1:pw@POOLER/neondb",
        "true,  host,     postgresql://app+1:pw@HOST/neondb",
        "false, host,     postgresql://app+1:pw@ep-other.c-3.eu-central-1.aws.neon.tech/neondb",
        "false, host,     postgresql://app+1:pw@HOST.evil.example/neondb",
        "false, '',       postgresql://app+1:x@HOST/neondb@evil.example/neondb",
        "false, '',       postgresql://app+1:pw@evil.example/neondb?a=@HOST/neondb",
        "false, '',       'postgresql://app+1:pw@HOST,evil.example/neondb'",
        "false, host,     postgresql://app+1:pw@HOST/neondb?host=evil.example",
        "false, host,     postgresql://app+1:pw@HOST/neondb?sslmode=require&Hostaddr=10.0.0.1",
        "false, host,     postgresql://app+1:pw@HOST/neondb?%68ost=evil.example",
        "false, host,     postgresql://app+1:pw@HOST/neondb?user=admin",
        "false, host,     postgresql://app+1:pw@HOST/neondb?dbname=other",
        "false, host,     postgresql://app+1:pw@HOST/neondb?options=endpoint%3Dep-other",
        "false, role,     postgresql://admin:pw@HOST/neondb",
        "false, database, postgresql://app+1:pw@HOST/postgres",
        "false, database, postgresql://app+1:pw@HOST/",
        "false, '',       postgresql://app+1@HOST/neondb",
        "false, '',       postgresql://app+1:@HOST/neondb",
        "false, '',       https://app+1:pw@HOST/neondb",
        "false, '',       ''"})
    void refuses_every_other_connection_string_and_shows_nothing_of_it(boolean isPooled, String words, String uri) {
        String mismatch = mismatch(uri, isPooled);
        assertTrue(!mismatch.isEmpty() && mismatch.contains(words) && !mismatch.matches(".*(pw|evil|ep-other|admin).*"), mismatch);
    }

    private static String mismatch(String uri, boolean isPooled) {
        return LOGIN.mismatch(uri.replace("HOST", COMPUTE.host()).replace("POOLER", COMPUTE.host().replaceFirst("\\.", "-pooler.")),
                COMPUTE, isPooled).orElse("");
    }

    @Test
    void encodes_what_a_shell_or_an_env_file_would_change_and_nothing_else() {
        String plain = "postgresql://u:p%40w+~!*();,:[]@h-1/d_2?a=b&c=%2F#x";
        assertEquals(plain, Login.percentEncode(plain));
        " \"'$`\\<>^{|}\n\r\t\0\u007f\u0085ü日😀".codePoints().mapToObj(Character::toString).forEach(character -> {
            String encoded = Login.percentEncode(character);
            assertTrue(encoded.matches("(%[0-9A-F]{2})+"), encoded);
            assertEquals(character, URI.create("x:" + encoded).getSchemeSpecificPart());
        });
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            sslmode=verify-full              | ?channel_binding=require&sslmode=verify-full
            channel_binding=                 | ?sslmode=require
            connect_timeout=15 a=1           | ?sslmode=require&channel_binding=require&connect_timeout=15&a=1
            sslmode= channel_binding=        | ``
            a=1 a=2                          | ?sslmode=require&channel_binding=require&a=2
            a=x%y&z=#+?"ü                    | ?sslmode=require&channel_binding=require&a=x%25y%26z=%23%2B%3F%22%C3%BC
            """)
    void sets_replaces_and_removes_parameters(String parameters, String query) {
        String plain = "postgresql://u:p%40w@h/d";
        String uri = Login.withParameters(plain + "?sslmode=require&channel_binding=require", List.of(parameters.split(" ")));
        assertEquals(plain + query, uri);
        assertEquals(plain + "?a=1", Login.withParameters(plain, List.of("a=1")));
    }

    @ParameterizedTest
    @ValueSource(strings = {"host", "HOST", "hostaddr", "port", "user", "password", "dbname", "database", "service", "passfile", "%68ost",
        "PGHOST", "PGPORT", "PGDBNAME"})
    void no_parameter_leads_elsewhere(String name) {
        assertFalse(Login.isParameter(name + "=x"));
    }

    @ParameterizedTest
    @CsvSource({"connect_timeout=15, true", "options=-c search_path=projects, true", "options=endpoint%3Dep-other, false",
        "options=-c a=b project=x, false", "sslmode, false", "=x, false", "a b=x, false", "a&b=x, false", "'', false",
        "a%3D1&host=evil, false", "a%3D%26user=evil, false"})
    void a_parameter_is_a_name_and_a_value(String text, boolean isParameter) {
        assertEquals(isParameter, Login.isParameter(text));
    }
}
