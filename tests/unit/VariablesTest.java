//SOURCES ../../lib/Variables.java
//SOURCES ../sandbox/Shell.java

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What overrides the written entries: variables of the environment, and other env files. */
class VariablesTest {

    @TempDir
    Path folder;

    @ParameterizedTest
    @CsvSource(delimiter = '|', nullValues = "-", textBlock = """
            # in the environment | to be written | refused
            -                    | new           | false
            new                  | new           | false
            ''                   | new           | true
            ' '                  | -             | true
            old                  | new           | true
            -                    | -             | false
            old                  | -             | true
            """)
    void a_variable_with_another_value_is_refused(String value, String written, boolean isRefused) {
        Variables variables = new Variables("URL", "URL_UNPOOLED", name -> name.equals("URL_UNPOOLED") ? value : null);
        Map<String, Secret> entries = written == null ? Map.of() : Map.of("URL", new Secret("pooled"), "URL_UNPOOLED", new Secret(written));
        assertRefused(isRefused, "The environment variable URL_UNPOOLED is set to another value than this branch's connection string, and"
                + " it would override the env file; remove it from the Amplify console, or run 'unset URL_UNPOOLED' before this command.",
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

    /** Each of these is an entry to Next.js or Vite. */
    @ParameterizedTest
    @ValueSource(strings = {"A=1\rURL=x", "A=1\n\ufeffURL=x", "\u00a0URL=x", "URL\u00a0=x", "export\u00a0URL=x", "\fURL=x", "\u3000URL=x",
        "# A\u2028URL=x", "U\rRL=x", "=URL=x", "URL\n=x"})
    void an_entry_with_an_odd_blank_or_line_end_is_found(String content) throws IOException {
        Files.writeString(folder.resolve(".env.local"), content);
        assertRefused(true, ".env.local sets URL and overrides .env in Next.js and Vite; remove the entry, or also write this file with"
                + " --env-file.", () -> variables().requireNoOverridingFile(List.of(folder + "/.env")));
    }

    @ParameterizedTest
    @CsvSource({".env, .env.local", ".env.local, .env"})
    void a_link_to_the_written_file_overrides_nothing(String link, String target) throws IOException {
        Files.writeString(folder.resolve(target), "URL=x\n");
        Files.createSymbolicLink(folder.resolve(link), Path.of(target));
        assertRefused(false, "", () -> variables().requireNoOverridingFile(List.of(folder + "/.env")));
    }

    @Test
    void a_folder_or_a_pipe_overrides_nothing() throws IOException {
        Files.createDirectory(folder.resolve(".env.local"));
        assertEquals(0, Shell.run(folder, Map.of(), "mkfifo", ".env.production").exitCode());
        assertRefused(false, "", () -> variables().requireNoOverridingFile(List.of(folder + "/.env")));
    }

    @Test
    void a_file_that_cannot_be_read_is_refused() throws IOException {
        Path other = Files.writeString(folder.resolve(".env.local"), "A=1\n", StandardCharsets.UTF_16);
        assertRefused(true, "Could not read " + other + ": it is not UTF-8 text; fix this or remove the file, because it can override the"
                + " written one.", () -> variables().requireNoOverridingFile(List.of(folder + "/.env")));
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
