"""Own lexicon of English words and phrases that show an emotion in film dialogue; dedicated to the public domain (CC0).

An entry is a word, a stem with "*" ("delight*" is also delighted and delightful), or a phrase with "_" for spaces. Each
belongs to one emotion, with a strength; a word in two lists counts for both. Written for this project, from no other
lexicon.
"""

from __future__ import annotations

CLASSES = ("happy", "sad", "angry", "surprised", "fear", "disgusted", "neutral")
"""The seven classes of the text network, in its order; contempt is read from no text."""

_STRONG, _CLEAR, _HINT = 1.0, 0.6, 0.3

_ENTRIES: dict[str, dict[float, str]] = {
    "happy": {
        _STRONG: """
            happ* happiest joy* delight* overjoyed thrill* ecsta* bliss* elat* cheerful* wonderful* marvel*
            fantastic* jubila* euphor* rejoic* hooray hurray yay yippee woohoo celebrat* congratulat*
            i_love_it love_it love_this i_love_you best_day dream_come_true come_true so_proud proud_of_you
            over_the_moon so_glad made_my_day couldn't_be_happier never_been_happier so_happy thank_goodness
            thank_god we_did_it we_won i_won you_did_it she_said_yes he_said_yes said_yes good_news
            great_news what_a_day on_top_of_the_world can't_stop_smiling heaven* paradise best_thing
            cloud_nine having_fun so_much_fun laughed_so_hard i'm_in_love got_the_part got_the_job best_news
            we're_going_to_paris couldn't_be_prouder made_it we_made_it i_made_it nothing_could_spoil
            i_feel_great i_feel_good feeling_great lucky_me i_passed full_marks all_my_dreams live_happily
            head_over_heels pinch_me smiling_all most_beautiful_day never_felt_better never_felt_so_good
            never_felt_so_alive marry_me_she love_of_my_dreams what_fun so_much_better happiest_day
            you're_the_best you're_wonderful we're_having_a_baby going_to_be_a_father going_to_be_a_mother
            going_to_be_parents""",
        _CLEAR: """
            glad* pleas* proud* pride excit* awesome amazing* brilliant* excellent* splendid* superb*
            gorgeous beautiful* lovely adorabl* sweet* perfect* great laugh* laughter smil* giggl* grin*
            danc* sing singing sang party parties birthday* wedding* married engaged champagne cheers toast
            festiv* holiday* vacation* sunshin* glorious* magic* magnificent* grateful* gratitude thankful*
            bless* lucky luck* fortunat* victor* triumph* win winning winner* won hug* kiss* cuddl* love
            loves loved loving adore* fun funny hilarious* playful* merry jolly enjoy* welcome* honeymoon
            reunion baby cherish* treasur* relie* hopeful* optimis* charming* content contented satisf*
            success* succeed* achiev* accomplish* passed promot* bravo terrific fabulous dream* paradise*
            darling sunny favou* best_ever free_at_last well_done good_job at_last thank_you_so_much
            look_forward can't_wait finally_here came_home coming_home safe_and_sound back_home cute
            fell_in_love healthy cured recovered all_clear first_prize brighter brightens radiant blessing*
            beam beaming sparkl* glow* carefree harmony peaceful victory medal trophy champion* jackpot
            lottery applau* encore standing_ovation scholarship graduate* graduat* honoured honored miracle
            delightful sunshine rainbow butterflies laughing chuckl* serenade skip skipping paid_off
            came_back remission reunited hope hoping thrilled_to together_again home_again looks_good_on_you
            good_mood in_such_a_good how_nice how_lovely how_sweet best_friend best_friends my_favourite
            my_favorite feels_good sounds_great you_look_great you_look_wonderful""",
        _HINT: """
            good nice well fine better best finally together friend* home thank thanks warm bright gift*
            present* surprise* cake music song* spring summer game yes dear garden puppy kitten candy
            chocolate play playing special everyone delicious tasty""",
    },
    "sad": {
        _STRONG: """
            sad sadd* sadness sorrow* grie* heartbr* broken_heart broke_my_heart breaks_my_heart miser*
            depress* mourn* weep* wept sob sobb* tears teardrop* cry crying cried devastat* despair*
            hopeless* lonel* melanchol* i_miss miss_you miss_him miss_her missing_you passed_away
            rest_in_peace funeral* buried burial grave graveyard coffin widow* all_alone so_alone
            nothing_left gave_up give_up_on nobody_left never_see never_come_back not_coming_back
            gone_forever without_you without_her without_him lost_her lost_him lost_my lost_everything
            too_late if_only wish_i_had he's_gone she's_gone they're_gone it's_over we_lost i_failed
            can't_go_on no_one_came nobody_came no_point i'm_so_sorry sorry_for_your_loss say_goodbye
            goodbye_forever last_goodbye used_to_be the_last_time she_died he_died should_have_been_there
            feeling_down feel_down down_today feeling_low feel_so_low letting_go let_her_go let_him_go
            never_came_home never_came_back won't_come_back isn't_coming_back not_coming_home
            won't_be_coming never_got_to never_told_her never_told_him never_say_goodbye too_many_memories
            left_me left_us she_left he_left has_left walked_out used_to_love stopped_loving doesn't_love_me
            don't_love_me nobody_loves no_one_loves didn't_survive still_hurts it_hurts hurts_so
            life_without world_without empty_without wish_you_were_here wish_she_were wish_he_were
            i_wish_i_could i_should_have i_couldn't_save can't_stop_crying can't_stop_thinking
            nothing_matters what's_the_point don't_want_to_live can't_bear it's_all_my_fault my_fault
            broke_up breaking_up we're_finished sold_his sold_her how_do_you_go_on all_i_have_left
            all_that's_left all_that_is_left""",
        _CLEAR: """
            alone lone lonesome abandon* empty emptiness regret* remorse* ashamed unhapp* gloom* blue hurt
            hurts hurting pain* ache* aching suffer* loss losses died die dies dying dead death* goodbye
            farewell orphan* homesick* forgot* forgotten unloved unwanted useless worthless fail* failure*
            disappoint* defeat* broken shattered crush* tired weary exhaust* numb wither* fade* faded pity
            piti* tragic* tragedy* sorry apolog* fault mistake miscarriage cancer hospital terminal
            incurable divorc* leaving left lost lose losing bereft wistful* nostalg* bitter tearful*
            helpless* guilt* cold_bed empty_chair empty_house never_again no_longer anymore any_more
            nobody_remembers no_one_cares nobody_cares nobody_needs don't_belong let_you_down let_them_down
            let_him_down wasted gone didn't_make_it couldn't_save old_photograph* memories doesn't_remember
            doesn't_recognise doesn't_know_me i_wish rejected grave's tombstone ashes urn mourning_clothes
            stillborn miscarried hospice dementia alzheimer* suicide bankrupt* homeless* unemploy* laid_off
            shut_down closed_down evicted neglected outcast misunderstood heavy_heart heartache wept lament*
            yearn* longing wilted drifted lonely_nights tear tearing_up choked_up bittersweet hopelessly
            pathetic poor_thing poor_boy poor_girl what_a_pity such_a_pity what_a_shame such_a_shame
            wish_things sad_news bad_news terrible_news never_forgave never_knew_her never_knew_him
            never_knew_my never_visit* nobody_visits nobody_calls no_letters no_calls old_days good_old_days
            every_night_i every_day_i last_words last_time my_late gone_now he's_dead she's_dead
            they're_dead""",
        _HINT: """
            miss missed remember* once away winter rain silent silence quiet grey gray dark slow old last
            ended ends end memory letter* photograph* grandmother grandfather mother father anyway nothing
            nobody never waited sold closed almost only forgive""",
    },
    "angry": {
        _STRONG: """
            angr* anger furious* fury rage rag* outrag* livid enrag* infuriat* hate* hatred loath* despise*
            how_dare dare_you shut_up shut_your get_out get_lost go_to_hell damn* bastard* idiot* moron*
            stupid* fool* liar* lying lied betray* traitor* sick_of sick_and_tired fed_up had_enough
            enough_is_enough leave_me_alone get_off don't_you_dare don't_touch never_forgive pay_for_this
            pay_for_that you_ruined you_promised your_fault all_your_fault how_could_you who_do_you_think
            what_the_hell hell coward* cheat* stole steal* thief thieves i'll_kill piss* bloody crap
            not_my_problem back_off drop_dead screw_you stop_lying last_time_i stop_it i_warned i_told_you
            i_said out_of_my_sight out_of_my_house get_away_from_me you_had_no_right no_right make_me_sick
            you_always you_never don't_walk_away don't_you_ever don't_tell_me don't_talk_to_me i_don't_care
            what_is_wrong_with_you shame_on_you you_people hang_up_on what_gives_you get_your_hands
            don't_lie_to stop_shouting stop_interrupting you_think_you_can you_think_this how_many_times
            hundred_times thousand_times don't_interrupt don't_blame don't_patronise don't_patronize
            don't_call_me don't_play_games you'll_pay you_will_pay you'll_regret you_will_regret
            i'll_make_you i'll_break i_want_him_punished i_demand we_demand i_won't_stand i_will_not_stand
            won't_tolerate will_not_tolerate won't_be_treated not_your_servant not_your_maid
            none_of_your_business mind_your_own get_a_grip over_my_dead_body see_you_in_court i'm_done_with
            i'm_done_being done_being i_have_had_it i've_had_it had_it_with had_it_up how_can_you_be_so
            so_careless so_selfish so_stupid you_knew_and you_let_him you_let_her you_let_them you_used_me
            you_cheated you_owe_me you_broke_it you_stole you_lied you_left_us you_left_me_to
            get_that_through who_gave_you who_do_they take_your_hands off_my get_out_of_my give_it_back
            give_me_back drives_me_crazy drives_me_mad driving_me_mad last_straw blood_boils""",
        _CLEAR: """
            mad annoy* irritat* resent* bitter* hostil* insult* offend* offens* disrespect* disgrace* unfair
            unjust* injust* unacceptable intolerabl* ridiculous* absurd nonsense rubbish garbage lie lies
            blame* accus* threat* yell* shout* scream* slam* smash* punch* hit fight* fought attack* revenge
            veng* punish* destroy* ruin* incompeten* useless lazy selfish* greed* arrogan* hypocri* rude*
            cruel* monster* pig scum brat tyrant* corrupt* enough demand* warning sue lawyer* excuse excuses
            complain* ignor* interrupt* waste wasting wasted behind_my_back to_my_face again_and_again
            every_single_time once_more one_more_word one_more_time listen_to_me look_at_me answer_me
            do_you_hear do_you_understand out_of_here wait_any_longer nerve kick* fire fired my_way
            don't_lie humiliat* mock* laughed_at treat* sick_joke trust* deserve* jerk* blood_boil*
            hands_off crook* crook bully bullies rotten_liar swine weasel snake_in backstab* stab* provok*
            spite* scold* grumbl* fuming seeth* heated boil boiling temper tantrum snap snapped explode
            contempt grudge vendett* retaliat* trespass* vandal* robbed robbery swindl* fraud cheater
            sabotag* mistreat* abus* exploit* unreliable inexcusable inconsiderate ungrateful spoiled_brat
            obnoxious insolen* impertinent impudent pathetic_excuse shove slap beat_you smack strangle wring
            curse cursed_you damned confound* shouting yelling hush quit_whining whining stop_whining
            nagging picking_on pick_on taken_for_granted promised_me swore lies_to_me""",
        _HINT: """
            stop out right again always never every promise* told don't now why you your fault late money
            dare word business problem apologize pay paid break broke expect* responsib* behave* patience
            nobody_asked""",
    },
    "surprised": {
        _STRONG: """
            surpris* astonish* amaz* astound* shock* stun* unbeliev* incredib* unexpected* speechless*
            flabbergast* dumbfound* wow whoa gosh gasp* no_way oh_my_god oh_my_gosh oh_my my_god
            good_heavens goodness good_lord can't_believe cannot_believe couldn't_believe don't_believe_it
            never_expected never_thought didn't_expect wasn't_expecting out_of_nowhere out_of_the_blue
            are_you_serious are_you_kidding you're_kidding must_be_kidding you're_joking really
            what_are_you_doing_here what_on_earth where_did_you where_did_that did_you_just since_when
            how_on_earth how_is_that how_did_you you_mean wait_what what_do_you_mean had_no_idea no_idea
            never_seen never_heard i'd_never_guess who_would_have would_have_guessed would_have_thought
            who_knew look_at_that look_who is_that_you is_that_really you're_alive he's_alive she's_alive
            he_did_what she_did_what they_did_what you_did_what he_said_what you_what twins impossible
            blew_my_mind jaw_dropped well_i_never holy_cow holy you're_here you're_back you_came
            what_a_surprise this_can't_be it_can't_be can't_be_true cannot_be_true that_can't_be
            how_can_that how_can_it i_thought_you i_thought_he i_thought_she i_thought_it you_never_told
            why_didn't_you_tell nobody_told_me no_one_told_me when_did_you when_did_that when_did_this
            what_is_that_doing what_is_this_doing what_are_they_doing what_happened what_just_happened
            did_i_hear did_he_just did_she_just did_that_just is_that_what is_this_a_joke is_this_for_me
            is_that_possible how_is_that_possible how_is_it_possible you've_got_to_be you_have_got_to_be
            i_could_have_sworn i_would_have_sworn i_would_never_have i_never_knew i_never_imagined
            i_didn't_know i_didn't_see_that i_had_no never_in_my_life never_would_have never_saw_that
            never_dreamed not_what_i_expected who_would_have_thought who'd_have_thought look_at_the_size
            in_broad_daylight out_of_thin_air from_nowhere the_same_person the_very_same first_time_ever
            you're_him you're_her it's_you it_was_you so_it_was_you so_you_are how_much how_many
            you_have_a_son you_have_a_daughter you_have_a_twin you_mean_to_tell you_don't_say say_that_again
            come_again wait_a_minute wait_a_second hang_on hold_on""",
        _CLEAR: """
            sudden* miracl* miraculous* bewilder* baffl* startl* wonder* strange* odd* weird* curious*
            extraordinar* remarkabl* mysterious* unreal astonishing heavens blimey huh wait what how who
            seriously honestly actually is_it_true is_this_real can_it_be could_it_be turned_out turns_out
            all_this_time all_along the_whole_time right_under just_like_that by_itself overnight appeared
            appear vanish* disappear* million billion pregnant double triple in_one_night ten_years
            twenty_years believe imagine* unheard revealed secret guess guessed you_knew you_know_him
            you_speak you_can you_two you_were so_soon so_fast already so_much that_much surreal uncanny
            peculiar puzzling puzzled mystif* confound* unpredict* plot_twist twist coinciden* small_world
            didn't_recognise didn't_recognize hardly_recognised barely_recognised barely_recognise
            overnight_success oh_wow what_what eh crikey jeez golly mercy heavens_above goodness_me
            upon_my_word my_word well_well of_all_people of_all_things of_all_places after_all_these_years
            after_all_this_time here_of_all all_by_yourself all_by_himself with_one_hand in_one_day
            in_a_single turned_into turned_green came_to_life it_moved it_spoke it_talks it_talked he_talks
            she_talks""",
        _HINT: """
            oh look here there alone why ever suddenly everyone everything whole real true new first
            different one doubt* identical""",
    },
    "fear": {
        _STRONG: """
            afraid fear* scare* scari* terrif* terror* horrif* frighten* fright* petrif* panic* dread*
            nightmar* haunt* help_me please_don't don't_hurt don't_kill don't_leave_me going_to_die
            gonna_die we'll_die will_kill trying_to_kill someone_is somebody_is someone's somebody's
            something_is_wrong something's_wrong something_moved behind_you behind_us watch_out look_out
            run_away hide hiding hid they're_coming he's_coming she's_coming it's_coming they_found
            they'll_find he'll_find don't_move don't_make_a_sound keep_your_voice_down be_quiet did_you_hear
            i_heard what_was_that who's_there is_anyone_there is_somebody_there in_the_dark can't_breathe
            hold_my_hand shak* trembl* shiver* gun knife murder* kill* killer* get_us_out let_me_out
            get_me_out trapped call_the_police lock_the_door locked_in followed following_us following_me
            watching_us watching_me what_if hurry bomb stalk* don't_leave_me_here there's_someone
            there_is_someone there's_somebody there_is_somebody there's_something there_is_something
            there's_a_man something_in_the_dark someone_in_the somebody_in_the in_the_house_with followed_me
            follows_me being_followed being_watched after_me after_us chasing_me chasing_us hunting_us
            hunting_me going_to_kill going_to_hurt gonna_kill gonna_hurt want_to_kill want_me_dead
            he'll_kill they'll_kill she'll_kill will_find_us will_find_me if_they_catch if_he_catches
            if_he_finds if_they_find don't_shoot don't_turn_around don't_open_it don't_open_the
            don't_go_outside don't_make_me don't_let_him don't_let_them don't_let_go don't_dare dare_to_go
            can't_move can't_feel_my can't_get_out can't_hold_on can't_stop_shaking won't_stop_shaking
            we_have_to_get_out get_out_of_here get_down take_cover everybody_down everybody_out
            call_an_ambulance not_breathing isn't_breathing where_are_the_children where_is_my_baby
            is_it_safe are_we_safe not_safe_here lock_the_doors bolt_the keep_quiet stay_quiet stay_close
            stay_behind it's_behind it's_inside it's_in_the it's_watching i'm_begging begging_you please_no
            oh_god oh_no no_no bad_feeling terrible_feeling horrible_feeling what_are_you_going_to_do_to
            what_do_you_want_from""",
        _CLEAR: """
            worr* nervous* anxi* uneasy alarm* danger* threaten* risk* unsafe creep* eerie sinister ghost*
            spirit* demon* monster* scream* blood bleed* attack* victim* escape* trap* drown* burn* fire
            smoke flood* storm* earthquake explod* explosion crash* falling fall poison* snake* spider*
            shark* wolf wolves dark darkness shadow* footstep* basement cellar attic noise* whisper*
            heart_is_pounding heart_is_racing pound* racing helpless* doom* emergency police warn* surgery
            operation diagnosis lump biopsy claustrophob* heights phobia paralys* paralyz* frozen froze
            freez* cliff edge slip* losing_control brakes run running careful careful* quick quickly
            wait_for_us it's_not_safe not_safe nowhere_to no_way_out no_signal can't_see won't_open
            won't_start don't_go don't_go_in don't_open don't_look don't_let alone_in getting_closer
            coming_closer stay_away stay_back come_closer stay_with_me on_the_roof at_the_window outside_the
            intruder* burglar* kidnap* hostage* hunt* hunted prey claw* fang* growl* howl* scratch* creak*
            rustl* footprints lurk* loom* collapse* crumbl* crack* sink* sinking avalanche landslide tornado
            hurricane wildfire gas leak radiation virus infected quarantine cornered defenceless defenseless
            vulnerable faint fainting hyperventil* cold_sweat goosebumps hair_stood spine chill*
            blood_ran_cold butterflies_in stage_fright turbulence alarm siren evacuat* shelter weapon* armed
            shoot* shot shooting sniper soldier* ambush* torture* execut* arrest* cops raid tremor jumpy
            on_edge tense apprehens* wary hesita* timid phobic scream screaming screamed""",
        _HINT: """
            please don't god night door window upstairs downstairs forest woods woods engine lights
            something someone somebody there closer hear heard behind down no wait lost missing quiet hand
            breath* phone""",
    },
    "disgusted": {
        _STRONG: """
            disgust* revolt* repuls* repugn* gross yuck* yuk ew eww ugh nause* nauseat* vomit* puk* throw_up
            threw_up sick_to_my_stomach makes_me_sick turns_my_stomach my_stomach_turn vile foul filth*
            putrid rotten rott* rot mould* mold* maggot* cockroach* roach* stink* stinks stench reek* smell*
            slim* sewage sewer* toilet* vermin rancid gag gagg* horrid hideous loathsome sickening
            unhygienic spit* snot* pus urine pee feces poop dung manure take_it_away get_it_away
            get_that_away get_it_off can't_eat won't_eat not_eating wouldn't_touch not_touching
            don't_make_me_eat crawling_with covered_in something_dead churn* retch* heave heaving
            wretched_smell smells_like smell_like tastes_like smells_of reeks_of makes_my_skin skin_crawl
            is_that_mould is_that_mold full_of_flies full_of_hair full_of_worms rotting bleh blech bah phew
            pew ick icky yucky eurgh eugh argh_that don't_lick lick_it spat spit_it spits picks_his_nose
            picking_his_nose blew_his_nose chews_with with_his_mouth_open never_washes doesn't_wash
            didn't_wash hasn't_washed wash_your_hands unwashed hasn't_been_cleaned toilet_seat dirty_hands
            filthy_hands still_moving still_alive_and raw_liver in_my_soup in_my_food in_my_mouth
            in_my_drink on_my_plate i'll_be_sick going_to_be_sick gonna_be_sick be_sick was_sick
            sick_all_over can't_stomach lost_my_appetite how_revolting how_disgusting how_gross get_it_out
            get_this_out get_rid_of_it i_need_a_shower need_to_wash want_to_scrub wiped_your_nose wiped_his
            used_tissue used_tissues used_bandage""",
        _CLEAR: """
            dirty dirt grim* grimy mess* nasty awful* horribl* terribl* greas* oily sticky slobber* drool*
            sweat* armpit* bathroom rat rats lice flea fleas fly flies worm* slug* insect* bug bugs hair_in
            hairs crust* clot* infect* wound* blister* scab* puddle bin garbage trash* waste leftovers sour
            spoiled expired curdled chew* swallow* bite lick* taste* mouth food plate soup meat fish milk
            cheese egg eggs liver mushroom* fridge sink drain bucket mop wash* towel* socks underwear
            toenail* fingernail* pervert* indecent obscen* perverse degrad* deprav* sleaz* shameless
            tasteless unspeakable contaminat* pollut* tox* carcass* corpse* dead_rat decay* smeared dripping
            ooz* stomach how_can_you_eat who_eats touched_that touch_that near_me dandruff earwax phlegm
            mucus saliva diarrh* intestin* guts entrails tripe offal gristle lard grease scum sludge muck
            mucky swamp slurp* burp* belch* fart* dribbl* dripping_with stain* stained soiled smear* squish*
            squelch* clammy moist damp pong whiff fishy stale musty mildew fungus germ germs bacteria
            parasit* tapeworm leech* larva* grub grubs dung_beetle beetle earwig centipede hairball bedbug*
            pubic unclean repellent abhorrent abominabl* ghastly gruesome distasteful unpleasant off-putting
            cheap_perfume lecher* slimy_man creep perv""",
        _HINT: """
            eat eating ate drink drank touch touched hands fingers floor kitchen wear wearing clean* inside
            look cooked kiss face feet skin hair that thing stuff under""",
    },
    "neutral": {
        _STRONG: """
            meeting* appointment* schedul* report reports department document* form forms sign office*
            invoice* receipt* train bus platform station terminal gate flight departs departure arrives
            arrival o'clock quarter_past half_past minutes per_cent percent number numbers page pages
            chapter list copy copies file files folder street avenue road corner turn_left turn_right
            on_the_left on_the_right straight_ahead floor elevator reception lobby counter monday tuesday
            wednesday thursday friday weekday* january february march april june july august september
            october november december kilomet* metre* meter* litre* inch* weigh* measure* temperature
            degrees address phone_number email* message parcel delivery deliver* order orders ordered shop
            store opens closes bank account* tax insurance information instruction* according available
            usual usually average standard normal* regular* agenda minutes_later second_floor third_floor
            second_door two_sugars spoon* teaspoon* recipe* stir* boil* simmer* oven preheat opposite_the
            next_to_the behind_the_house in_front_of_the at_the_end_of on_the_corner in_the_drawer
            in_the_garage on_the_shelf on_the_desk at_noon at_eight at_nine at_seven at_six at_ten
            by_the_window by_email by_post every_hour every_morning twice_a_week once_a_week per_week
            a_week_ago an_hour_ago an_hour in_an_hour how_long_does what_time where_is_the which_floor
            did_you_post could_you_pass would_you_like please_hold please_wait two_copies three_copies
            is_called is_written is_made_of consists_of was_built was_signed was_moved is_closed is_open
            was_closed works_for works_at lives_in lives_on moved_to belongs_to leads_to""",
        _CLEAR: """
            morning afternoon evening today tomorrow yesterday week weeks month months year hour hours
            minute tuesday's table chair desk shelf drawer cupboard key keys box boxes bag coat umbrella pen
            pencil paper ink printer computer keyboard screen screens button* switch lamp window_seat
            ticket* seat car parked parking garage driv* bridge river tower building* school university
            library museum town city map north south east west weather forecast cloud* breakfast lunch
            dinner coffee tea sugar bread butter water glass cup newspaper magazine article* book books
            committee manager* assistant* secretar* colleague* employ* customer* client* supplier* contract*
            agreement* project* plan plans budget* price* cost* cheque discount sale figures results data
            survey* example* question* answer* topic subject system* process* method* version update*
            install* repair* replace* battery batteries usually currently normally generally approximately
            roughly about between include* contain* consist* require* located built painted made written
            based depends similar second third next following colour color size please_take please_sign
            please_leave please_fill let_me_know as_you_know as_far_as in_the_meantime curtain* carpet sofa
            kitchen_table garden_gate fence ladder toolbox screw* hammer nail nails engine oil tyre tyres
            mileage petrol bicycle ferry tram harbour airport luggage suitcase passport visa hotel_room
            single_room double_room check_out groceries vegetables fruit rice potatoes onion carrots chicken
            salad sandwich sandwiches salt pepper flour stamps envelope signature initials alphabetical
            spreadsheet password login folder_on calendar diary noon midday midnight_train lecture seminar
            exam_room textbook library_card membership subscription rent lease tenant landlord plumber
            electrician carpenter accountant receptionist librarian pharmacist dentist optician grey gray
            brown blue_one green_one""",
        _HINT: """
            the of by from in on at to then first also usually left right put take took bring call called
            ask asked said say think know see go went come came use used need needs work works live lives
            move moved start starts begin begins two three four five six seven eight nine ten""",
    },
}  # fmt: skip

NEGATORS = frozenset(
    """
    not no never nothing nobody none neither nor hardly scarcely barely without cannot cant don't doesn't
    didn't isn't aren't wasn't weren't won't wouldn't can't couldn't shouldn't haven't hasn't hadn't ain't
    dont doesnt didnt isnt arent wasnt werent wont wouldnt couldnt anything
    """.split()
)
INTENSIFIERS = frozenset(
    """very so really extremely absolutely completely totally utterly terribly awfully incredibly such too deeply ever
    entirely truly desperately insanely most simply damn bloody""".split()
)
DIMINISHERS = frozenset(
    "slightly somewhat rather quite fairly bit little almost partly mildly kind sort perhaps maybe".split()
)


def entries() -> list[tuple[str, int, float]]:
    """Return (word, stem with "*" or phrase with spaces; number of its class; strength) of each entry."""
    found: dict[tuple[str, int], float] = {}
    for name, levels in _ENTRIES.items():
        for strength, words in levels.items():
            for word in words.split():
                key = (word.replace("_", " "), CLASSES.index(name))
                found[key] = max(found.get(key, 0.0), strength)
    return [(word, number, strength) for (word, number), strength in found.items()]
