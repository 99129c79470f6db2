//SOURCES ../../lib/BranchPlan.java
//SOURCES Branches.java

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Which Neon branch an Amplify branch of the app d1 gets, and what becomes of it. What must not be lost is in ProtectionTest. */
class BranchPlanTest {

    /**
     * Today is the 10th, and {@code --expires-in} asks for the 20th. The default branch is {@code production}, unless a row has its own.
     * The last column is what an error, or the note about ignored options, mentions.
     */
    @ParameterizedTest(name = "{0} | {1} | {2} {3}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            feature                            |                                | create d1-feature from production |
            feature                            | feature, d1-feature2, d1-Feature, d2-feature | create d1-feature from production |
            feature --reset --schema-only      |                                | create d1-feature from production |
            feature --expires-in               |                                | create d1-feature from production, expires on 20 |
            main --expires-in                  |                                | create d1-main from production | 'main'
            feature                            | production                     | fail | default branch
            feature --parent-branch=staging    | staging                        | create d1-feature from staging |
            feature --parent-branch=br-staging | staging, br-staging            | create d1-feature from staging |
            feature --parent-branch=stagin     | staging                        | fail | 'stagin'
            feature --parent-branch=stagin     | d1-feature<production          | fail | 'stagin'

            feature                            | d1-feature<production          | reuse d1-feature from production |
            feature                            | d1-feature#schema-only         | reuse d1-feature |
            feature --parent-branch=staging    | d1-feature<production, staging | reuse d1-feature from production | 'staging'
            feature --schema-only              | d1-feature#schema-only         | reuse d1-feature |
            feature --schema-only              | d1-feature<production          | fail | --schema-only
            feature --schema-only --reset      | d1-feature<production          | fail | --schema-only
            main --schema-only                 | d1-main<production             | fail | --schema-only

            feature --expires-in               | d1-feature<production          | reuse d1-feature from production, expires on 20 |
            feature --expires-in               | d1-feature<production#expires-15 | reuse d1-feature from production, expires on 20 |
            feature                            | d1-feature<production#expires-15 | reuse d1-feature from production |
            main                               | d1-main<production#expires-15  | reuse d1-main from production |
            feature --expires-in               | d1-feature<production, x<d1-feature | reuse d1-feature from production | child
            feature                            | d1-feature<production#expires-10 | fail | expired
            feature --reset --expires-in       | d1-feature<production#expires-09 | fail | expired

            feature --reset                    | d1-feature<production          | reset d1-feature from production to production |
            feature --reset                    | d1-feature<staging, staging    | reset d1-feature from staging to staging |
            feature --reset                    | d1-feature<deleted             | reset d1-feature to production |
            feature --reset --parent-branch=staging | d1-feature<production, staging | reset d1-feature from production to staging |
            feature --reset --parent-branch=production | d1-feature<production_old_1, production_old_1 \
                                                                   | reset d1-feature from production_old_1 to production |
            feature --reset                    | d1-feature                     | fail | no parent
            feature --reset                    | d1-feature<production#masked   | fail | masked
            feature --reset                    | d1-feature<production, x<d1-feature | fail | child
            feature --parent-branch=staging    | staging#expires-15 | fail | 'staging'; expire
            x --production-branch=live --parent-branch=staging | production, staging, d1-x#default | fail | default

            local/me --reset --expires-in      | d1-local/me<production | reset d1-local/me from production to production, expires on 20 |
            main --reset --expires-in          | d1-main<production     | reuse d1-main from production | --reset; --expires-in; 'main'
            main_old_1 --reset                 | d1-main_old_1<production       | reuse d1-main_old_1 from production | --reset; backup
            x --reset --expires-in             | d1-x<production#protected      | reuse d1-x from production | --expires-in; protected
            x --reset --parent-branch=br-production | production, d1-x#default  | fail       | default
            x --reset --production-branch=live | d1-x<production                | reset d1-x from production to production |

            live --production-branch=live      | d1-live<production             | use production |
            live --production-branch=live --reset --expires-in | d1-live<production | use production | --reset; --expires-in
            live --production-branch=live --schema-only --masking-rules |       | use production | --schema-only; --masking-rules
            live --production-branch=live --parent-branch=staging | staging     | use staging |
            live --production-branch=live --parent-branch=staging | staging#expires-15 | fail | expiry
            live --production-branch=live --parent-branch=stagin  |             | fail | 'stagin'
            live --production-branch=live (pull-request) |                      | create d1-live from production |
            feature --production-branch=live   |                                | create d1-feature from production |
            live/2 --production-branch=live    |                                | create d1-live/2 from production |

            live --production-branch=live --parent-branch=d1-db    | d1-db           | fail | 'd1-db'
            feature --production-branch=live --parent-branch=d1-db | d1-db           | fail | 'd1-db'
            live --production-branch=live                          | production, d1-db#default | use d1-db |
            live --production-branch=live --parent-branch=d1-db    | d1-db#protected | use d1-db |
            live --production-branch=live --parent-branch=d1-live  | d1-live         | use d1-live |
            live --production-branch=live --parent-branch=d1-main  | d1-main         | use d1-main |
            live --production-branch=live --parent-branch=d2-db    | d2-db           | use d2-db |
            feature --parent-branch=d1-db                          | d1-db           | create d1-feature from d1-db |
            master --parent-branch=d1-master                       | d1-master       | fail | parent
            master                                                 | production, d1-master#default | fail | parent
            """)
    void decides(String asked, String there, String happens, String mentions) {
        String notes;
        String decision;
        try {
            BranchPlan plan = plan(asked, there);
            decision = describe(plan);
            notes = String.join("\n", plan.ignoredOptions());
        } catch (Failure e) {
            decision = "fail";
            notes = e.getMessage();
        }
        assertEquals(happens, decision, notes);
        assertEquals(mentions == null, notes.isEmpty(), notes);
        for (String words : mentions == null ? new String[] {} : mentions.split("; ")) {
            assertTrue(notes.contains(words), notes);
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            main                              | --production-branch main
            master                            | --production-branch master
            Main                              | --production-branch Main
            main --production-branch=mian     | 'mian'
            main --production-branch=min      | 'min'
            main --production-branch=maain    | 'maain'
            main --production-branch=live     |
            main --production-branch=main     |
            main (pull-request)               |
            feature                           |
            mainly                            |
            """)
    void warns_that_a_live_site_may_move_onto_a_copy(String asked, String words) {
        Optional<String> warning = request(List.of(asked.split(" "))).warning();
        assertEquals(words != null, warning.isPresent(), warning::toString);
        assertTrue(words == null || warning.get().contains(words), warning::toString);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            main                              | local/NAME |
            master                            | local/NAME |
            live --production-branch=live     | local/NAME |
            feature --production-branch=live  |            |
            local/me                          |            |
            main --production-branch=Main     | Main       | Main
            main --production-branch=origin/main | origin  | origin
            feature --production-branch=Main  |            |
            """)
    void refuses_a_name_that_is_probably_a_mistake(String asked, String errorFromGit, String error) {
        for (boolean isFromGit : new boolean[] {true, false}) {
            String words = isFromGit ? errorFromGit : error;
            Optional<String> actual = request(List.of(asked.split(" "))).error(isFromGit);
            assertEquals(words != null, actual.isPresent(), actual::toString);
            assertTrue(words == null || actual.get().contains(words), actual::toString);
        }
    }

    private static BranchPlan plan(String asked, String there) {
        List<String> words = Arrays.asList(asked.split(" "));
        boolean hasOwnProduction = there != null && there.matches("production(,.*)?");
        String branches = hasOwnProduction ? there : "production#default" + (there == null ? "" : ", " + there);
        return BranchPlan.of(request(words), Branches.of(branches), Branches.day("10"));
    }

    private static BranchPlan.Request request(List<String> words) {
        return new BranchPlan.Request("d1", words.get(0), value(words, "--production-branch"), words.contains("(pull-request)"),
                value(words, "--parent-branch"), words.contains("--reset"), words.contains("--schema-only"),
                words.contains("--masking-rules"), words.contains("--expires-in") ? Duration.ofDays(10) : null);
    }

    private static String value(List<String> words, String option) {
        return words.stream().filter(word -> word.startsWith(option + "=")).findFirst().map(word -> word.replaceFirst(".*=", ""))
                .orElse(null);
    }

    private static String describe(BranchPlan plan) {
        Optional<String> resetTo = plan.resetTo().map(target -> " to " + target.name());
        return (plan.isProduction() ? "use " : plan.existing().isEmpty() ? "create " : resetTo.isPresent() ? "reset " : "reuse ")
                + plan.existing().map(NeonApi.Branch::name).orElse(plan.name())
                + plan.source().map(source -> " from " + source.name()).orElse("") + resetTo.orElse("")
                + (plan.expiresAt() == null ? "" : ", expires on " + plan.expiresAt().toString().substring(8, 10));
    }
}
