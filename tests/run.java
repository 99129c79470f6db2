///usr/bin/env jbang "$0" "$@" ; exit $?
//JAVA 17+
//RUNTIME_OPTIONS -XX:+UseSerialGC
//SOURCES ../neon-ci.java
//SOURCES */*Test.java
//DEPS org.junit.jupiter:junit-jupiter:6.1.3
//DEPS org.junit.platform:junit-platform-launcher:6.1.3

import java.io.File;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.discovery.ClassNameFilter;
import org.junit.platform.engine.discovery.DiscoverySelectors;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.LauncherDiscoveryRequest;
import org.junit.platform.launcher.TagFilter;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;
import org.junit.platform.launcher.core.LauncherDiscoveryRequestBuilder;
import org.junit.platform.launcher.core.LauncherFactory;
import org.junit.platform.launcher.listeners.SummaryGeneratingListener;
import org.junit.platform.launcher.listeners.TestExecutionSummary;

/**
 * Runs the tests: all of them, those that are {@code fast}, or those of the classes that are named. Ends with a line of counts, and exits
 * with 1 if a test failed or none ran.
 */
class run {

    public static void main(String... args) {
        boolean isFast = List.of(args).contains("fast");
        List<String> classes = Arrays.stream(args).filter(argument -> !argument.equals("fast")).toList();
        // JUnit cannot be asked for the unnamed package, so it gets the jar that JBang has just built from it.
        Path jar = Path.of(System.getProperty("java.class.path").split(File.pathSeparator)[0]);
        LauncherDiscoveryRequestBuilder request = LauncherDiscoveryRequestBuilder.request()
                .selectors(DiscoverySelectors.selectClasspathRoots(Set.of(jar)))
                .filters(ClassNameFilter.includeClassNamePatterns(classes.isEmpty() ? ".*Test" : String.join("|", classes)))
                // The tests wait more than they work. Two classes at once is what two cores carry.
                .configurationParameters(Map.of("junit.jupiter.execution.parallel.enabled", "true",
                        "junit.jupiter.execution.parallel.mode.classes.default", "concurrent",
                        "junit.jupiter.execution.parallel.config.executor-service", "WORKER_THREAD_POOL",
                        "junit.jupiter.execution.parallel.config.strategy", "fixed",
                        "junit.jupiter.execution.parallel.config.fixed.parallelism", "2",
                        "junit.jupiter.execution.parallel.config.fixed.max-pool-size", "2"));
        if (isFast) {
            System.err.println("Leaving out the slow tests.");
            request.filters(TagFilter.excludeTags("slow"));
        }
        TestExecutionSummary summary = execute(request.build());
        summary.printFailuresTo(new PrintWriter(System.err, true), 20);
        System.out.printf("%d passed, %d failed, %d skipped%n", summary.getTestsSucceededCount(),
                summary.getTotalFailureCount(), summary.getTestsSkippedCount() + summary.getTestsAbortedCount());
        System.exit(summary.getTotalFailureCount() == 0 && summary.getTestsSucceededCount() > 0 ? 0 : 1);
    }

    private static TestExecutionSummary execute(LauncherDiscoveryRequest request) {
        SummaryGeneratingListener summary = new SummaryGeneratingListener();
        LauncherFactory.create().execute(request, summary, new Progress());
        return summary.getSummary();
    }

    /** Says which class has ended, what was skipped and why, and what failed. */
    private static final class Progress implements TestExecutionListener {

        private final Map<String, Long> starts = new ConcurrentHashMap<>();

        @Override
        public void executionStarted(TestIdentifier test) {
            if (isClass(test)) {
                starts.put(test.getUniqueId(), System.nanoTime());
            }
        }

        @Override
        public void executionSkipped(TestIdentifier test, String reason) {
            System.err.println("skipped " + test.getDisplayName() + ": " + reason);
        }

        @Override
        public void executionFinished(TestIdentifier test, TestExecutionResult result) {
            if (isClass(test)) {
                long start = starts.get(test.getUniqueId());
                System.err.printf("%s, %.1f s%n", test.getDisplayName(), (System.nanoTime() - start) / 1e9);
            }
            if (result.getStatus() == TestExecutionResult.Status.ABORTED) {
                System.err.println("skipped " + test.getDisplayName() + ": " + result.getThrowable().map(Throwable::getMessage).orElse(""));
            }
            if (result.getStatus() == TestExecutionResult.Status.FAILED) {
                String method = test.getSource().filter(MethodSource.class::isInstance).map(MethodSource.class::cast)
                        .map(source -> source.getClassName() + "." + source.getMethodName() + ": ").orElse("");
                System.err.println("FAILED " + method + test.getDisplayName());
            }
        }

        private static boolean isClass(TestIdentifier test) {
            return test.getSource().filter(org.junit.platform.engine.support.descriptor.ClassSource.class::isInstance).isPresent();
        }
    }
}
