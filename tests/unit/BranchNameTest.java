//SOURCES ../../lib/BranchName.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.List;
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

    @ParameterizedTest
    @ValueSource(ints = {249, 250, 251, 252, 253, 254, 255})
    void tells_the_beginning_of_a_name_that_was_shortened(int length) {
        for (String character : List.of("x", "é", "日", "😀")) {
            String amplifyBranch = "x".repeat(length - 240) + character.repeat(240);
            String name = BranchName.of("d1abc", amplifyBranch);
            boolean isWhole = name.equals("d1abc-" + amplifyBranch);
            assertEquals(isWhole, BranchName.beginning("d1abc", name).isEmpty());
            BranchName.beginning("d1abc", name).ifPresent(beginning -> {
                assertTrue(amplifyBranch.startsWith(beginning));
                assertTrue(name.startsWith("d1abc-" + beginning + "-"));
            });
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"d1abc-main", "d1abc-x-0123456789ab", "d1abc-x"})
    void takes_a_short_name_for_the_whole(String neonBranch) {
        assertTrue(BranchName.beginning("d1abc", neonBranch).isEmpty());
    }
}
