//SOURCES InSandbox.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Without a UTF-8 locale, Java reads other characters as question marks, and two branches would share a database. */
class LocaleTest extends InSandbox {

    /** Two characters, which printf writes in any locale. */
    private static final String TWO_CHARACTERS = "$(printf '\\346\\227\\245\\346\\234\\254')";

    private static final String SINGLE_BYTES = "de_DE.ISO-8859-1";

    @ParameterizedTest
    @ValueSource(strings = {
            "AWS_BRANCH=" + TWO_CHARACTERS + " java create-branch",
            "java create-branch --branch-name " + TWO_CHARACTERS,
            "java create-branch --parent-branch " + TWO_CHARACTERS,
            "java create-branch --env-file " + TWO_CHARACTERS,
            "java cleanup-branches --keep " + TWO_CHARACTERS})
    void a_value_that_the_locale_cannot_read_is_refused(String command) {
        assertRefused(run("C", command));
    }

    /** There Java reads the two characters as six others, without a sign that they are wrong. */
    @Test
    void a_single_byte_locale_allows_only_ascii() {
        assumeTrue(Shell.run(folder, Map.of(), "/bin/sh", "-c", "localedef -f ISO-8859-1 -i de_DE ./" + SINGLE_BYTES).exitCode() == 0,
                "there is no localedef to make such a locale with");
        assertRefused(run(SINGLE_BYTES, "AWS_BRANCH=" + TWO_CHARACTERS + " java create-branch"));
        assertRefused(run(SINGLE_BYTES, "java cleanup-branches --keep " + TWO_CHARACTERS));
    }

    private void assertRefused(Shell.Result result) {
        assertTrue(result.err().matches("neon-ci: Invalid value for option '--[a-z-]+': it contains a character that this locale"
                + " cannot represent; run again with LC_ALL=C\\.UTF-8\\. See 'neon-ci [a-z-]+ --help'\\.\n"), result.err());
        assertEquals(2, result.exitCode());
        assertEquals(List.of(), sandbox.exchanges());
    }

    @Test
    void a_utf_8_locale_reads_everything() {
        Shell.Result result = run("C.UTF-8", "AWS_BRANCH=" + TWO_CHARACTERS + " java create-branch");
        assertEquals(0, result.exitCode(), result.err());
        assertTrue(sandbox.neon().hasBranch(SandboxAws.APP_ID + "-\u65e5\u672c"));
    }

    @Test
    void a_question_mark_is_a_glob_in_a_utf_8_locale() {
        sandbox.neon().add(SandboxAws.APP_ID + "-v1");
        assertEquals(0, run("C.UTF-8", "java cleanup-branches --keep 'v?'").exitCode());
        assertTrue(sandbox.neon().hasBranch(SandboxAws.APP_ID + "-v1"));
    }

    private Shell.Result run(String locale, String command) {
        Map<String, String> environment = sandbox.environment(Map.of("LC_ALL", locale));
        if (locale.equals(SINGLE_BYTES)) {
            environment.put("LOCPATH", folder.toString());
        }
        return Shell.run(folder, environment, "/bin/sh", "-c", command.replace("java ", Shell.quoted(Shell.java()) + " "));
    }
}
