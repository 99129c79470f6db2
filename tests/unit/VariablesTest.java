//SOURCES ../../lib/Variables.java

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What overrides the written entries: variables of the environment, and other env files. */
class VariablesTest {

    @TempDir
    Path folder;

    @ParameterizedTest
    @CsvSource(delimiter = '|', nullValues = "-", textBlock = """
            # in the environment | to be written | refused
            -                    | new           | false
            new                  | new           | false
            old                  | new           | true
            -                    | -             | false
            old                  | -             | true
            """)
    void a_variable_with_another_value_is_refused(String value, String written, boolean isRefused) {
        Variables variables = new Variables("URL", "URL_UNPOOLED", name -> name.equals("URL_UNPOOLED") ? value : null);
        Map<String, Secret> entries = written == null ? Map.of() : Map.of("URL", new Secret("pooled"), "URL_UNPOOLED", new Secret(written));
        assertRefused(isRefused, "The environment variable URL_UNPOOLED is set to another value than this branch's connection string, and it"
                + " would override the env file; remove it from the Amplify console, or run 'unset URL_UNPOOLED' before this command.",
                () -> variables.requireNotOverridden(entries));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            # written                    | other file            | its content      | refused
            .env                         | .env.local            | URL=x            | true
            .env                         | .env.production       | export URL = 'x' | true
            .env                         | .env.production.local | URL=             | true
            .env.local                   | .env.production       | URL: x           | true
            .env .env.local              | .env.production       | URL=x            | true
            .env.production              | .env.local            | URL=x            | true
            .env                         | .env.production       | #URL=x           | false
            .env                         | .env.production       | MY_URL=x         | false
            .env                         | .env.production       | A="URL=x"        | false
            .env                         | .env.development      | URL=x            | false
            .env.ci                      | .env.production       | URL=x            | false
            .env.local                   | .env                  | URL=x            | false
            .env.production.local        | .env.local            | URL=x            | false
            .env .env.local              | .env.local            | URL=x            | false
            .env .env.production.local   | .env.production       | URL=x            | false
            """)
    void an_env_file_that_overrides_a_written_one_is_refused(String written, String other, String content, boolean isRefused)
            throws IOException {
        Files.writeString(folder.resolve(other), content + "\n");
        List<String> files = Stream.of(written.split(" ")).map(file -> folder + "/./" + file).toList();
        assertRefused(isRefused, other + " sets URL and overrides " + written.split(" ")[0] + " in Next.js and Vite; remove the entry, or"
                + " also write this file with --env-file.", () -> variables().requireNoOverridingFile(files));
    }

    private static Variables variables() {
        return new Variables("URL", "URL_UNPOOLED", name -> null);
    }

    private static void assertRefused(boolean isRefused, String sentence, Executable check) {
        if (isRefused) {
            assertEquals(sentence, assertThrows(Failure.class, check).getMessage());
        } else {
            assertDoesNotThrow(check);
        }
    }
}
