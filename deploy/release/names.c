/* Linked into the static program, so that it finds names by the hosts file and DNS alone, and users by
 * /etc/passwd. /etc/nsswitch.conf may ask for more, such as mdns4_minimal or myhostname: a static program
 * would load them with the C library that is installed, and dies by SIGFPE if that is another version than
 * its own (https://github.com/JonathonReinhart/staticx/issues/227).
 */
#include <nss.h>

__attribute__((constructor)) static void without_plugins(void)
{
    __nss_configure_lookup("hosts", "files dns");
    __nss_configure_lookup("passwd", "files");
}
