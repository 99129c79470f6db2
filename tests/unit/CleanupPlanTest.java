//SOURCES ../../lib/CleanupPlan.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Which Neon branches a clean-up of the app d1 may delete, as a table. The rules as properties are in CleanupPlanPropertiesTest. */
class CleanupPlanTest {

    private static final String APP = "d1";

    /**
     * Neon branches as {@code name<parent}, an exclamation mark for a protected one and a star for the default one; Amplify branches, a
     * pull request's as {@code pr-N<source}; and what becomes of the first Neon branch. The production branch is {@code prod}.
     */
    @ParameterizedTest(name = "{0} | {1} | {2}: {3}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            d1-old                        | main             |         | deleted
            d1-login                      | main, login      |         | its Amplify branch exists
            d1-local/me                   | main             |         | it is a developer's own
            d1-local                      | main             |         | deleted
            d1-feature/login              | feature/login    |         | its Amplify branch exists
            d1-feature                    | feature/login    |         | deleted
            d1-feature/login              | feature          |         | deleted
            d1-login2                     | login            |         | deleted
            d1-Login                      | login            |         | its Amplify branch exists
            d1-login                      | LOGIN            |         | its Amplify branch exists
            d1-straße                     | STRASSE          |         | its Amplify branch exists
            d1-two words                  | two, words       |         | deleted
            d1-two words                  | two words        |         | its Amplify branch exists
            d1-two                        | two words        |         | deleted
            `d1-two `                     | two              |         | deleted
            d1-a.b                        | axb              |         | deleted
            d1-axb                        | a.b, a?b, a*, .* |         | deleted
            d1-.+                         | axb              |         | deleted
            d1-a%2Fb                      | a/b              |         | deleted
            d1-a/b                        | a%2Fb            |         | deleted
            d1-it's "so"                  | it's "so"        |         | its Amplify branch exists
            d1-Grüße/日本語                | Grüße/日本語      |         | its Amplify branch exists
            d1-Gru\u0308ße                | Grüße            |         | its Amplify branch exists
            d1-Grüße                      | Gru\u0308ße      |         | its Amplify branch exists
            d1-Gruße                      | Grüße            |         | deleted
            d1-d1-fix                     | fix              |         | deleted
            d1-d1-fix                     | d1-fix           |         | its Amplify branch exists
            production                    | main             |         | not mentioned
            staging                       | main             |         | not mentioned
            old                           | main             |         | not mentioned
            d1                            | main             |         | not mentioned
            d1-                           | main             |         | not mentioned
            d12-old                       | main             |         | not mentioned
            d1a-old                       | main             |         | not mentioned
            d1_old                        | main             |         | not mentioned
            d1old                         | main             |         | not mentioned
            ` d1-old`                     | main             |         | not mentioned
            D1-old                        | main             |         | not mentioned
            x-d1-old                      | main             |         | not mentioned
            alice/d1-old                  | main             |         | not mentioned
            d1-old*                       | main             |         | it is the project's default branch
            d1-old!                       | main             |         | it is protected
            d1-main                       | login            |         | 'main' is always kept
            d1-dev                        | login            |         | 'dev' is always kept
            d1-Main                       | login            |         | 'Main' is always kept
            d1-prod                       | login            |         | 'prod' is the production branch
            d1-PROD                       | login            |         | 'prod' is the production branch
            d1-product                    | login            |         | deleted
            d1-login_old_2026-11-25T10:00:00Z | login        |         | it is Neon's backup of 'd1-login'
            d1-login (old)                | login            |         | it is Neon's backup of 'd1-login'
            d1-login_old                  | login            |         | it is Neon's backup of 'd1-login'
            d1-login_old_2026 (old)       | login            |         | it is Neon's backup of 'd1-login_old_2026'
            d1-main_old_2026-11-25        | login            |         | it is Neon's backup of 'd1-main'
            d1-dev (old)                  | login            |         | it is Neon's backup of 'd1-dev'
            d1-prod (old)                 | login            |         | it is Neon's backup of 'd1-prod'
            d1-v1_old                     | login            | v?      | it is Neon's backup of 'd1-v1'
            d1-gone_old_2026-11-25        | login            |         | deleted
            d1-gone (old)                 | login            |         | deleted
            d1-login_older                | login            |         | deleted
            d1-login_old_one              | login            |         | deleted
            d1-develop                    | login            |         | deleted
            d1-main2                      | login            |         | deleted
            d1-pr-7                       | main, pr-7<fix   |         | its Amplify branch exists
            d1-fix                        | main, pr-7<fix   |         | its Amplify branch exists
            d1-pr-8                       | main, pr-7<fix   |         | deleted
            d1-release/1                  | main             | release/* | --keep 'release/*'
            d1-release/1/hot              | main             | release/* | --keep 'release/*'
            d1-prerelease/1               | main             | release/* | deleted
            d1-release                    | main             | release/* | deleted
            d1-v1                         | main             | x, v?     | --keep 'v?'
            d1-v12                        | main             | v?        | deleted
            d1-v                          | main             | v?        | deleted
            d1-v😀                         | main             | v?        | --keep 'v?'
            d1-V1                         | main             | v?        | --keep 'v?'
            d1-e\u0301t\u0301               | main             | É*        | --keep 'É*'
            d1-e\u0301                    | main             | e*        | --keep 'e*'
            d1-v1                         | main             | d1-v?     | deleted
            d1-anything at all            | main             | *         | --keep '*'
            d1-a.c                        | main             | a.c       | --keep 'a.c'
            d1-abc                        | main             | a.c       | deleted
            d1-[ab]                       | main             | [ab]      | --keep '[ab]'
            d1-a                          | main             | [ab]      | deleted
            d1-old<gone                   | main             |         | deleted
            d1-old<d1-live, d1-live       | live             |         | deleted
            d1-old, d1-child<d1-old       | main             |         | deleted
            d1-old, d1-child<d1-old       | main, child      |         | it has a child branch that stays
            d1-old, someone<d1-old        | main             |         | it has a child branch that stays
            d1-old, d1-b<d1-old, x<d1-b   | main             |         | it has a child branch that stays
            d1-old, d1-b<d1-old, d1-c!<d1-b | main           |         | it has a child branch that stays
            """)
    void decides(String neonBranches, String amplifyBranches, String keep, String fate) {
        List<NeonApi.Branch> branches = Arrays.stream(neonBranches.split(", ")).map(CleanupPlanTest::neonBranch).toList();
        CleanupPlan plan = CleanupPlan.of(APP, branches, amplifyBranches(amplifyBranches), null, "prod",
                keep == null ? List.of() : List.of(keep.split(", ")));
        NeonApi.Branch first = branches.get(0);
        assertEquals(fate, plan.remove().contains(first) ? "deleted" : kept(plan, first));
    }

    @Test
    void a_glob_of_many_stars_does_not_take_for_ever() {
        List<NeonApi.Branch> branches = List.of(neonBranch("d1-" + "a".repeat(200)));
        assertEquals(branches, assertTimeoutPreemptively(Duration.ofMinutes(1), () -> CleanupPlan.of(APP, branches, amplifyBranches("main"),
                null, null, List.of("**a**a**a**a**a**a**b")).remove()));
    }

    /** Dates are of one month; the grace ends on the 10th. */
    @ParameterizedTest(name = "{0} | {1}: {2}")
    @CsvSource(delimiter = '|', textBlock = """
            d1-old                   | main  | let expire on the 10th
            d1-old@20                | main  | let expire on the 10th
            d1-old@09                | main  | expires already
            d1-old@10                | main  | expires already
            d1-old@01                | main  | expires already
            d1-old@09                | old   | its Amplify branch exists
            d1-old!                  | main  | it is protected
            d1-old, d1-child<d1-old  | main  | it has a child branch, and waits for a later clean-up
            d1-old, d1-child@09<d1-old | main | it has a child branch, and waits for a later clean-up
            d1-child<d1-old, d1-old  | main  | let expire on the 10th
            d1-old, d1-child<d1-old  | child | it has a child branch that stays
            production               | main  | not mentioned
            """)
    void decides_what_is_let_expire(String neonBranches, String amplifyBranches, String fate) {
        List<NeonApi.Branch> branches = Arrays.stream(neonBranches.split(", ")).map(CleanupPlanTest::neonBranch).toList();
        CleanupPlan plan = CleanupPlan.of(APP, branches, amplifyBranches(amplifyBranches), null, null, List.of())
                .expiringAt(Instant.parse("2026-12-10T00:00:00Z"));
        NeonApi.Branch first = branches.get(0);
        assertEquals(fate, plan.remove().contains(first) ? "let expire on the 10th" : plan.expiring().contains(first) ? "expires already"
                : kept(plan, first));
    }

    private static String kept(CleanupPlan plan, NeonApi.Branch branch) {
        return plan.kept().stream().filter(kept -> kept.branch().equals(branch)).map(CleanupPlan.Kept::reason).findFirst()
                .orElse("not mentioned");
    }

    private static NeonApi.Branch neonBranch(String text) {
        String[] parts = text.split("<");
        String[] nameAndDay = parts[0].replaceAll("[!*]$", "").split("@");
        return new NeonApi.Branch("id of " + nameAndDay[0], nameAndDay[0], parts.length == 1 ? null : "id of " + parts[1], "ready",
                parts[0].endsWith("*"), parts[0].endsWith("!"),
                nameAndDay.length == 1 ? null : Instant.parse("2026-12-" + nameAndDay[1] + "T00:00:00Z"), false, true);
    }

    private static List<Aws.AmplifyBranch> amplifyBranches(String text) {
        return Arrays.stream(text.split(", ")).map(branch -> branch.split("<"))
                .map(parts -> new Aws.AmplifyBranch(parts[0], parts.length == 1 ? null : parts[1])).toList();
    }
}
