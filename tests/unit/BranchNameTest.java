//SOURCES ../../lib/BranchName.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Names that are too long for Neon. What else becomes of a name is seen in CleanupPlanTest's table. */
class BranchNameTest {

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
