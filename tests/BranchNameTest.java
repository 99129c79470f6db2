//SOURCES ../lib/BranchName.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class BranchNameTest {

    @ParameterizedTest
    @CsvSource(delimiter = '|', ignoreLeadingAndTrailingWhitespace = false, textBlock = """
            main|d1abc-main
            feature/login|d1abc-feature/login
            with a space|d1abc-with a space
            $(whoami)|d1abc-$(whoami)
            Grüße/日本語|d1abc-Grüße/日本語
            -|d1abc--
            """)
    void keeps_the_amplify_branch_as_it_is(String amplifyBranch, String neonBranch) {
        assertEquals(neonBranch, BranchName.of("d1abc", amplifyBranch));
        assertEquals(amplifyBranch, BranchName.amplifyBranch("d1abc", neonBranch));
    }

    @ParameterizedTest
    @CsvSource(textBlock = """
            d1abc-main,        true
            d1abc-,            false
            d1abc,             false
            d1abcd-main,       false
            D1abc-main,        false
            ' d1abc-main',     false
            production,        false
            main-d1abc-main,   false
            """)
    void knows_its_own_by_the_whole_prefix(String neonBranch, boolean isOwn) {
        assertEquals(isOwn, BranchName.isOf("d1abc", neonBranch));
    }

    @ParameterizedTest
    @ValueSource(strings = {"x", "é", "日", "😀"})
    void shortens_what_is_too_long_for_neon_at_a_whole_character(String character) {
        String name = BranchName.of("d1abc", character.repeat(255));
        assertTrue(name.getBytes(StandardCharsets.UTF_8).length <= 256);
        assertTrue(name.matches("d1abc-(" + character + ")+-[0-9a-f]{12}"), name);
        assertEquals(name, BranchName.of("d1abc", character.repeat(255)));
    }

    @Test
    void leaves_a_name_that_just_fits() {
        assertEquals("d1abc-" + "x".repeat(250), BranchName.of("d1abc", "x".repeat(250)));
        assertNotEquals("d1abc-" + "x".repeat(251), BranchName.of("d1abc", "x".repeat(251)));
    }

    @Test
    void tells_long_branches_with_the_same_beginning_apart() {
        assertNotEquals(BranchName.of("d1abc", "x".repeat(254) + "1"), BranchName.of("d1abc", "x".repeat(254) + "2"));
    }
}
