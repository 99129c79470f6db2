//SOURCES ../../lib/Protection.java
//SOURCES Branches.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Which Neon branches of the app d1 must not be deleted, expire or be reset. Its production branch is {@code prod}. */
class ProtectionTest {

    /** A Neon branch, the live Amplify branches, the globs of {@code --keep}, and words of the reason; no reason if it may be lost. */
    @ParameterizedTest(name = "{0} | {1} | {2}: {3}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            d1-login                      | login            |           | Amplify branch
            d1-Login                      | login            |           | Amplify branch
            d1-login                      | LOGIN            |           | Amplify branch
            d1-straße                     | STRASSE          |           | Amplify branch
            d1-feature/login              | feature/login    |           | Amplify branch
            d1-two words                  | two words        |           | Amplify branch
            d1-d1-fix                     | d1-fix           |           | Amplify branch
            d1-it's "so"                  | it's "so"        |           | Amplify branch
            d1-Grüße/日本語                | Grüße/日本語      |           | Amplify branch
            d1-Gru\u0308ße                | Grüße            |           | Amplify branch
            d1-Grüße                      | Gru\u0308ße      |           | Amplify branch
            d1-Gruße                      | Grüße            |           |
            d1-feature                    | feature/login    |           |
            d1-feature/login              | feature          |           |
            d1-login2                     | login            |           |
            d1-two words                  | two, words       |           |
            d1-two                        | two words        |           |
            `d1-two `                     | two              |           |
            d1-a.b                        | axb              |           |
            d1-axb                        | a.b, a?b, a*, .* |           |
            d1-.+                         | axb              |           |
            d1-a%2Fb                      | a/b              |           |
            d1-a/b                        | a%2Fb            |           |
            d1-d1-fix                     | fix              |           |

            d1-old#default                |                  |           | default
            d1-old#protected              |                  |           | protected
            d1-main                       |                  |           | 'main'
            d1-dev                        |                  |           | 'dev'
            d1-Main                       |                  |           | 'Main'
            d1-prod                       |                  |           | production branch
            d1-PROD                       |                  |           | production branch
            d1-product                    |                  |           |
            d1-develop                    |                  |           |
            d1-main2                      |                  |           |

            d1-login_old                  | login            |           | backup of 'd1-login'
            d1-login_old_2026-11-25T10:00:00Z | login        |           | backup of 'd1-login'
            d1-login (old)                | login            |           | backup of 'd1-login'
            d1-login_old_2026 (old)       | login            |           | backup of 'd1-login_old_2026'
            d1-main_old_2026-11-25        |                  |           | backup of 'd1-main'
            d1-dev (old)                  |                  |           | backup of 'd1-dev'
            d1-prod (old)                 |                  |           | backup of 'd1-prod'
            d1-v1_old                     |                  | v?        | backup of 'd1-v1'
            d1-gone_old_2026-11-25        | login            |           |
            d1-gone (old)                 | login            |           |
            d1-login_older                | login            |           |
            d1-login_old_one              | login            |           |

            d1-release/1                  |                  | release/* | --keep 'release/*'
            d1-release/1/hot              |                  | release/* | --keep 'release/*'
            d1-release/1/hot/fix          |                  | r*1*fix   | --keep 'r*1*fix'
            d1-prerelease/1               |                  | release/* |
            d1-release                    |                  | release/* |
            d1-v1                         |                  | x, v?     | --keep 'v?'
            d1-v😀                         |                  | v?        | --keep 'v?'
            d1-V1                         |                  | v?        | --keep 'v?'
            d1-v12                        |                  | v?        |
            d1-v                          |                  | v?        |
            d1-v1                         |                  | d1-v?     |
            d1-e\u0301t\u0301               |                  | É*        | --keep 'É*'
            d1-e\u0301                    |                  | e*        | --keep 'e*'
            d1-anything at all            |                  | *         | --keep '*'
            d1-a.c                        |                  | a.c       | --keep 'a.c'
            d1-abc                        |                  | a.c       |
            d1-[ab]                       |                  | [ab]      | --keep '[ab]'
            d1-a                          |                  | [ab]      |
            """)
    void keeps_what_must_not_be_lost(String branch, String live, String keep, String words) {
        Protection protection = new Protection("d1", Branches.of(branch), "prod", live == null ? Set.of() : Set.of(live.split(", ")),
                keep == null ? List.of() : List.of(keep.split(", ")));
        Optional<String> reason = protection.reason(Branches.of(branch).get(0).name());
        assertEquals(words != null, reason.isPresent(), reason::toString);
        assertTrue(words == null || reason.get().contains(words), reason::toString);
    }

    @Test
    void a_glob_of_many_stars_is_fast() {
        Protection protection = new Protection("d1", List.of(), null, Set.of(), List.of("**a**a**a**a**a**a**b"));
        assertEquals(Optional.empty(), assertTimeoutPreemptively(Duration.ofMinutes(1), () -> protection.reason("d1-" + "a".repeat(200))));
    }
}
