//SOURCES ../../lib/CleanupPlan.java
//SOURCES Branches.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Which Neon branches a clean-up of the app d1 deletes. Names, globs and backups are in ProtectionTest. */
class CleanupPlanTest {

    /** Neon's branches, Amplify's, of which a pull request's is {@code pr-N<source}, and what becomes of the first of Neon's. */
    @ParameterizedTest(name = "{0} | {1}: {2}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            d1-old                        | main             | delete
            d1-login                      | main, login      | keep: Amplify branch
            d1-keep                       | main             | keep: --keep 'keep'
            d1-local/me                   | main             | keep: developer
            d1-local                      | main             | delete
            d1-Local/me                   | main             | keep: developer
            d1-db_old_2026-11-25, d1-db#protected | main     | keep: backup
            d1-db_old_2026-11-25, d1-db#default   | main     | keep: backup
            d1-pr-7                       | main, pr-7<fix   | keep: Amplify branch
            d1-fix                        | main, pr-7<fix   | keep: Amplify branch
            d1-pr-8                       | main, pr-7<fix   | delete

            production                    | main             | not mentioned
            old                           | main             | not mentioned
            d1                            | main             | not mentioned
            d1-                           | main             | not mentioned
            d12-old                       | main             | not mentioned
            d1a-old                       | main             | not mentioned
            d1_old                        | main             | not mentioned
            d1old                         | main             | not mentioned
            ` d1-old`                     | main             | not mentioned
            D1-old                        | main             | not mentioned
            x-d1-old                      | main             | not mentioned
            alice/d1-old                  | main             | not mentioned

            d1-old<gone                   | main             | delete
            d1-old<d1-live, d1-live       | live             | delete
            d1-old, d1-child<d1-old       | main             | delete
            d1-old, d1-child<d1-old       | main, child      | keep: child
            d1-old, someone<d1-old        | main             | keep: child
            d1-old, d1-b<d1-old, x<d1-b   | main             | keep: child
            d1-old, d1-b<d1-old, d1-c<d1-b#protected | main  | keep: child
            """)
    void decides(String neonBranches, String amplifyBranches, String fate) {
        assertFate(fate, plan(neonBranches, amplifyBranches), Branches.of(neonBranches).get(0));
    }

    /** The grace ends on the 10th. */
    @ParameterizedTest(name = "{0} | {1}: {2}")
    @CsvSource(delimiter = '|', textBlock = """
            d1-old                   | main  | set to expire
            d1-old#expires-20        | main  | set to expire
            d1-old#expires-10        | main  | expires already
            d1-old#expires-09        | main  | expires already
            d1-old#expires-09        | old   | keep: Amplify branch
            d1-old#protected         | main  | keep: protected
            d1-old, d1-child<d1-old  | main  | keep: child
            d1-old, d1-child<d1-old#expires-09 | main | keep: child
            d1-child<d1-old, d1-old  | main  | set to expire
            d1-old, d1-child<d1-old  | child | keep: child
            production               | main  | not mentioned
            """)
    void decides_what_is_to_expire(String neonBranches, String amplifyBranches, String fate) {
        CleanupPlan plan = plan(neonBranches, amplifyBranches).expiringAt(Branches.day("10"));
        NeonApi.Branch first = Branches.of(neonBranches).get(0);
        if (fate.equals("expires already")) {
            assertEquals(List.of(first), plan.expiring());
        } else {
            assertFate(fate.replace("set to expire", "delete"), plan, first);
        }
    }

    @Test
    void refuses_a_list_of_amplify_that_is_empty_or_lacks_the_branch_of_this_build() {
        List<NeonApi.Branch> branches = Branches.of("d1-old");
        assertTrue(assertThrows(Failure.class, () -> CleanupPlan.of("d1", branches, List.of(), null, null, List.of())).getMessage()
                .contains("--app-id"));
        assertTrue(assertThrows(Failure.class, () -> CleanupPlan.of("d1", branches, amplifyBranches("main"), "login", null, List.of()))
                .getMessage().contains("'login'"));
        assertEquals(branches, CleanupPlan.of("d1", branches, amplifyBranches("main"), "main", null, List.of()).remove());
    }

    @Test
    void refuses_a_plan_of_too_many_deletions() {
        CleanupPlan plan = plan("d1-a, d1-b, d1-main", "main");
        plan.requireAtMost(2);
        assertTrue(assertThrows(Failure.class, () -> plan.requireAtMost(1)).getMessage().contains("--max-deletions"));
    }

    private static CleanupPlan plan(String neonBranches, String amplifyBranches) {
        return CleanupPlan.of("d1", Branches.of(neonBranches), amplifyBranches(amplifyBranches), null, null, List.of("keep"));
    }

    private static void assertFate(String fate, CleanupPlan plan, NeonApi.Branch branch) {
        String actual = Stream.concat(plan.remove().stream().filter(branch::equals).map(removed -> "delete"),
                plan.kept().stream().filter(kept -> kept.branch().equals(branch)).map(kept -> "keep: " + kept.reason()))
                .findFirst().orElse("not mentioned");
        String[] words = fate.split(": ");
        assertTrue(actual.startsWith(words[0]) && actual.contains(words[words.length - 1]), actual);
    }

    private static List<Aws.AmplifyBranch> amplifyBranches(String text) {
        return Arrays.stream(text.split(", ")).map(branch -> branch.split("<"))
                .map(parts -> new Aws.AmplifyBranch(parts[0], parts.length == 1 ? null : parts[1])).toList();
    }
}
