import java.time.Duration;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Future;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * Deletes the orphans of a plan, or lets them expire. The world moves on meanwhile, so it goes a batch at a time: before each further one,
 * and so after each wait, both lists are read again, and what is no orphan any more stays.
 */
final class Removal {

    /** More pages than Neon's list has. */
    private static final int PAGES = 8;

    private final NeonApi neon;
    private final InParallel inParallel;
    private final Deadline deadline;
    private final Function<Future<List<NeonApi.Branch>>, CleanupPlan> planAgain;
    private final String expiresAt;
    private final CleanupReport report;

    /** Those of which nothing has become yet, by id. */
    private final Map<String, NeonApi.Branch> left = new LinkedHashMap<>();

    /** Why the last try did nothing, as far as is known, and how often that was not known, by id. */
    private final Map<String, String> errors = new HashMap<>();
    private final Map<String, Integer> unanswered = new HashMap<>();

    private final int widest;
    private int width;
    private int waits = 0;
    private Duration lastLook = Duration.ZERO;

    /**
     * Removes nothing yet.
     *
     * @param planAgain takes Neon's list, which may be on its way, reads Amplify's, and makes a new plan
     * @param expiresAt when the orphans are to expire, RFC 3339; null to delete them
     * @param report is told what becomes of each
     */
    Removal(NeonApi neon, InParallel inParallel, Deadline deadline, Function<Future<List<NeonApi.Branch>>, CleanupPlan> planAgain,
            String expiresAt, CleanupReport report) {
        this.neon = neon;
        this.inParallel = inParallel;
        this.deadline = deadline;
        this.planAgain = planAgain;
        this.expiresAt = expiresAt;
        this.report = report;
        // An expiry can be taken back, and the list stays as long as it is: that is looked at half as often.
        widest = expiresAt == null ? InParallel.THREADS : 2 * InParallel.THREADS;
        width = widest;
    }

    /** Removes the orphans of a plan whose lists were read just now, and none that only later lists show. */
    void run(CleanupPlan first) {
        first.remove().forEach(branch -> left.put(branch.id(), branch));
        CleanupPlan plan = first;
        boolean isInTime = true;
        try {
            while (!left.isEmpty()) {
                if (!isInTime || isTooLate()) {
                    throw outOfTime();
                }
                Optional<NeonApi.NotNow> notNow = removeBatch(plan);
                isInTime = notNow.isEmpty() || neon.pauseAfter(notNow.get(), waits);
                // Even where it is too late to try again: the list tells what became of those whose answer was lost.
                plan = left.isEmpty() ? plan : lookAgain();
            }
        } catch (Failure e) {
            List.copyOf(left.values()).forEach(branch -> fail(branch, errors.getOrDefault(branch.id(), e.getMessage())));
        }
    }

    /** Returns why some of the batch are to be tried again; of several reasons, one that asks for the longest pause. */
    private Optional<NeonApi.NotNow> removeBatch(CleanupPlan plan) {
        List<NeonApi.Branch> batch = plan.childless().filter(branch -> left.containsKey(branch.id())).limit(width).toList();
        if (batch.isEmpty()) {
            List.copyOf(left.values()).forEach(branch -> fail(branch, "Did not delete " + branch.label()
                    + ": one of its child branches is still there."));
        }
        Map<NeonApi.Branch, Future<Boolean>> tries = new LinkedHashMap<>();
        batch.forEach(branch -> tries.put(branch, inParallel.start(() -> removeOnce(branch))));
        List<NeonApi.NotNow> notNow = batch.stream().flatMap(branch -> settle(branch, tries.get(branch)).stream()).toList();
        // A project that is at work refuses all changes but one.
        width = notNow.isEmpty() ? Math.min(2 * width, widest) : 1;
        waits = notNow.size() < batch.size() ? 0 : waits + 1;
        return notNow.stream().max(Comparator.comparing(one -> one.answer.retryAfter()));
    }

    private boolean removeOnce(NeonApi.Branch branch) {
        return expiresAt == null ? neon.deleteProjectBranchOnce(branch) : neon.updateProjectBranchOnce(branch, expiresAt);
    }

    /** Says what became of a branch; returns why it is to be tried again, if it is. */
    private Optional<NeonApi.NotNow> settle(NeonApi.Branch branch, Future<Boolean> wasThere) {
        try {
            if (InParallel.await(wasThere) && expiresAt != null) {
                report.expires(branch, expiresAt);
            } else {
                report.gone(branch, expiresAt == null);
            }
            left.remove(branch.id());
        } catch (NeonApi.NotNow e) {
            errors.put(branch.id(), e.getMessage());
            unanswered.merge(branch.id(), e.answer.isOutcomeUnknown() ? 1 : 0, Integer::sum);
            return Optional.of(e);
        } catch (Failure e) {
            fail(branch, e.getMessage());
        }
        return Optional.empty();
    }

    /** Reads both lists, at the same time: what is left was there before. Says what became of those that are no orphans any more. */
    private CleanupPlan lookAgain() {
        if (!neon.awaitRoom(PAGES + width)) {
            throw outOfTime();
        }
        Duration before = deadline.left();
        Future<List<NeonApi.Branch>> listing = inParallel.start(neon::listProjectBranches);
        CleanupPlan plan = planAgain.apply(listing);
        Map<String, NeonApi.Branch> now = InParallel.await(listing).stream()
                .collect(Collectors.toMap(NeonApi.Branch::id, branch -> branch));
        Map<String, CleanupPlan.Kept> kept = plan.kept().stream().collect(Collectors.toMap(one -> one.branch().id(), one -> one));
        lastLook = before.minus(deadline.left());
        Set<NeonApi.Branch> expiring = Set.copyOf(plan.expiring());
        left.values().removeIf(branch -> {
            NeonApi.Branch there = now.get(branch.id());
            if (there == null) {
                report.gone(branch, expiresAt == null);
            } else if (!there.name().equals(branch.name())) {
                report.keeps(new CleanupPlan.Kept(there, "it was '" + branch.name() + "' when the clean-up began"));
            } else if (kept.containsKey(branch.id())) {
                report.keeps(kept.get(branch.id()));
            } else if (expiring.contains(there)) {
                report.expires(there, there.expiresAt());
            } else if (unanswered.getOrDefault(branch.id(), 0) >= Http.TRIES_WITHOUT_ANSWER) {
                report.failed(branch, errors.get(branch.id()));
            } else {
                return false;
            }
            return true;
        });
        return plan;
    }

    /** Tells whether there is no time for a batch and a last look at what became of it, each of which may take twice as long as usual. */
    private boolean isTooLate() {
        return deadline.isTooLate() || !deadline.lasts(lastLook.multipliedBy(4));
    }

    private void fail(NeonApi.Branch branch, String error) {
        left.remove(branch.id());
        report.failed(branch, error);
    }

    private static Failure outOfTime() {
        return new Failure("The time of --wait was over before all was done; run again, which goes on where this run stopped.");
    }
}
