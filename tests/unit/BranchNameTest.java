//SOURCES ../../lib/BranchName.java

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Which names mean the same branch in another spelling. */
class BranchNameTest {

    @ParameterizedTest(name = "{0}, {1}: {2}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            main            | main           | false
            Main            | main           | true
            MAIN            | main           | true
            origin/main     | main           | true
            heads/main      | main           | true
            refs/heads/main | main           | true
            refs/remotes/origin/main | main  | true
            `main `         | main           | true
            `\tmain`        | main           | true
            `main\u00a0`    | main           | true
            `\u200bmain`    | main           | true
            'main'          | main           | true
            `ma\u200bin`    | main           | true
            `ma\u00adin`    | main           | true
            `refs/heads/ main` | main        | true
            `* main`        | main           | true
            `main \u200b`   | main           | true
            `main \t`       | main           | true
            `\u200b'main'`  | main           | true
            ｍａｉｎ           | main           | true
            Gru\u0308ße     | Grüße          | true
            STRASSE         | straße         | true
            main            | mains          | false
            feature/main    | main           | false
            main/2          | main           | false
            ma in           | main           | false
            """)
    void finds_another_spelling(String name, String other, boolean isMisspelling) {
        assertEquals(isMisspelling, BranchName.isMisspelling(name, other));
        assertEquals(isMisspelling, BranchName.isMisspelling(other, name));
    }
}
